# docker build -t d2v . && docker run --rm -it --shm-size=2g d2v
#
# Builds the lab on the CPU and runs the demo. For a GPU add --gpus all: the wheels of
# torch in constraints.txt bring CUDA with them. Data and results are volumes:
# -v /my/data:/data -e D2V_DATA=/data -v /my/runs:/lab/d2v-runs
FROM python:3.11-slim

RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc g++ git make \
 && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home lab && mkdir /lab && chown lab /lab
USER lab
WORKDIR /lab

COPY --chown=lab . .
RUN make .venv/.ready

ENV PATH=/lab/.venv/bin:$PATH
CMD ["make", "demo"]
