# docker build -t xfer .
# docker run --rm -v "$PWD/outputs:/outputs" xfer run params/smoke.yaml
# For GPUs, or a smaller PyTorch, name its index: --build-arg PIP_ARGS="--extra-index-url URL"
FROM python:3.12-slim
ARG PIP_ARGS=""
WORKDIR /project
COPY requirements.txt requirements.hashes.txt ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements.hashes.txt
RUN pip install --no-cache-dir -r requirements.txt ${PIP_ARGS}
COPY . ./
RUN pip install --no-cache-dir --no-deps --no-build-isolation -e .
ENV XFER_OUTPUTS=/outputs
VOLUME /outputs
ENTRYPOINT ["xfer"]
CMD ["--help"]
