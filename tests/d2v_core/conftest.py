import pytest
from hypothesis import HealthCheck, settings

# Other jobs may share the machine: only what is tested counts, not how long it takes.
settings.register_profile(
    "busy", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("busy")


@pytest.fixture
def own_cache(tmp_path_factory, monkeypatch):
    """An empty cache, where a test looks at what lies in it."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("D2V_CACHE", str(folder))
    return folder
