"""``python -m d2v_cli``."""

from d2v_cli.app import main

if __name__ == "__main__":
    main()
