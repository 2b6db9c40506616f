# Generated from genrestack/_async/model_calls.py by `python tools/unasync.py`; do not edit.
"""What a server tells of its models and of itself: metadata and health."""

import time

from grpc_health.v1 import health_pb2

from genrestack._core.base_client import POLL_SECONDS, health_of, health_service, none_serves
from genrestack._core.connection.options import NOT_GIVEN, Timeout
from genrestack._core.model_answers import read_model, read_models
from genrestack._core.request import ModelSpec
from genrestack._core.retry import Deadline
from genrestack._sync.calls import Calls
from genrestack.errors import DeadlineExceeded, NotFound, Unavailable
from genrestack.model_info import Health, ModelInfo
from genrestack_proto.v1 import prediction_pb2 as pb


class ModelCalls(Calls):
    """The calls that ask about models and about the server."""

    def models(self, timeout: Timeout = NOT_GIVEN) -> list[ModelInfo]:
        """List every version that is ready, by name and version; features and parts are left out."""
        deadline = self._deadline(timeout)
        return read_models(self._call(self._methods.list_models, pb.ListModelsRequest(), deadline))

    def model(self, name: str | None = None, version: int | None = None, timeout: Timeout = NOT_GIVEN) -> ModelInfo:
        """Describe one model in full; None is the server's default model, or the newest version.

        Raises:
            NotFound: no such model or version; the message lists what there is.

        """
        wanted = ModelSpec.of(name, version)
        request = pb.GetModelRequest(model=wanted.model, version=wanted.version)
        info = read_model(self._call(self._methods.get_model, request, self._deadline(timeout)), wanted)
        self._known_models.note(wanted, info)
        return info

    def health(self, model: str | None = None, version: int | None = None, timeout: Timeout = NOT_GIVEN) -> Health:
        """Ask whether the server, or one model, is ready; a model the server does not know is UNKNOWN.

        Raises:
            Unavailable: nothing answers.

        """
        return self._check(health_service(ModelSpec.of(model, version)), self._deadline(timeout))

    def wait_until_ready(
        self, timeout: float | None = 60.0, *, model: str | None = None, version: int | None = None
    ) -> None:
        """Return as soon as the server, or one model, is SERVING; it need not be running yet.

        Raises:
            DeadlineExceeded: it was not within `timeout` seconds; the message says what it was last.

        """
        deadline = self._deadline(timeout)
        service = health_service(ModelSpec.of(model, version))
        while (last := self._state(service, deadline)) != Health.SERVING:
            if not deadline.allows(POLL_SECONDS):
                raise self._not_ready(service, deadline, last)
            time.sleep(POLL_SECONDS)

    def _check(self, service: str, deadline: Deadline) -> Health:
        try:
            request = health_pb2.HealthCheckRequest(service=service)
            return health_of(self._call_once(self._methods.check_health, request, deadline))
        except NotFound:
            return Health.UNKNOWN
        except Unavailable as error:
            if none_serves(error):
                return Health.NOT_SERVING
            raise

    def _state(self, service: str, deadline: Deadline) -> str:
        try:
            return self._check(service, deadline)
        except (Unavailable, DeadlineExceeded) as error:
            return str(error)
