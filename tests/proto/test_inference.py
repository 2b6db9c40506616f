"""Our messages of the Open Inference Protocol have the shapes that its best-known client has compiled in."""

from typing import Any

import pytest
from google.protobuf import descriptor_pool
from tritonclient.grpc import model_config_pb2, service_pb2

from genrestack_proto.inference import open_inference_pb2 as pb

OURS: Any = pb.DESCRIPTOR
THEIRS: Any = service_pb2.DESCRIPTOR
THEIR_CONFIGURATION: Any = model_config_pb2.DESCRIPTOR


def fields(message: Any) -> dict[str, tuple[Any, ...]]:
    """What decides a message's bytes, and its JSON, by field name; nested messages with theirs."""
    found: dict[str, tuple[Any, ...]] = {
        field.name: (
            field.number,
            field.type,
            field.is_repeated,
            field.json_name,
            field.message_type and field.message_type.full_name,
            field.containing_oneof and field.containing_oneof.name,
        )
        for field in message.fields
    }
    for nested in message.nested_types:
        found |= {f"{nested.name}.{name}": shape for name, shape in fields(nested).items()}
    return found


CONFIGURATION = {name for name in OURS.message_types_by_name if name in THEIR_CONFIGURATION.message_types_by_name}
"""Messages that have some of their fields."""


@pytest.mark.parametrize("name", sorted(set(OURS.message_types_by_name) - CONFIGURATION))
def test_a_message_has_their_fields(name: str) -> None:
    assert fields(OURS.message_types_by_name[name]) == fields(THEIRS.message_types_by_name[name])


@pytest.mark.parametrize("name", sorted(CONFIGURATION))
def test_a_message_of_the_configuration_has_some_of_their_fields(name: str) -> None:
    ours, theirs = (file.message_types_by_name[name] for file in (OURS, THEIR_CONFIGURATION))
    assert fields(ours).items() <= fields(theirs).items()


def test_the_types_of_tensors_are_theirs() -> None:
    ours, theirs = (file.enum_types_by_name["DataType"] for file in (OURS, THEIR_CONFIGURATION))
    assert [(value.name, value.number) for value in ours.values] == [
        (value.name, value.number) for value in theirs.values
    ]


def test_the_configuration_is_among_them() -> None:
    assert {
        "ModelConfig", "ModelInput", "ModelOutput", "ModelVersionPolicy", "ModelDynamicBatching", "ModelParameter",
    } == CONFIGURATION  # fmt: skip


def test_a_method_has_their_messages() -> None:
    def methods(file: Any) -> dict[str, tuple[Any, ...]]:
        service = file.services_by_name["GRPCInferenceService"]
        return {
            method.name: (
                method.input_type.full_name,
                method.output_type.full_name,
                method.client_streaming,
                method.server_streaming,
            )
            for method in service.methods
        }

    ours, theirs = methods(OURS), methods(THEIRS)
    assert ours == {name: theirs[name] for name in ours}
    assert theirs.keys() - ours.keys() == {
        "TraceSetting", "LogSettings",
        "SystemSharedMemoryStatus", "SystemSharedMemoryRegister", "SystemSharedMemoryUnregister",
        "CudaSharedMemoryStatus", "CudaSharedMemoryRegister", "CudaSharedMemoryUnregister",
    }  # fmt: skip


def test_the_common_pool_is_theirs() -> None:
    found = descriptor_pool.Default().FindMessageTypeByName("inference.ModelInferRequest")
    assert found is service_pb2.ModelInferRequest.DESCRIPTOR
    assert found is not pb.ModelInferRequest.DESCRIPTOR


def test_bytes_go_both_ways() -> None:
    tensor = pb.ModelInferRequest.InferInputTensor(name="features", datatype="FP32", shape=[1, 2])
    ours = pb.ModelInferRequest(model_name="gtzan", inputs=[tensor], raw_input_contents=[b"12345678"])
    ours.parameters["priority"].uint64_param = 1
    theirs: Any = service_pb2.ModelInferRequest.FromString(ours.SerializeToString())
    assert theirs.parameters["priority"].uint64_param == 1
    assert theirs.inputs[0].shape == [1, 2]
    assert pb.ModelInferRequest.FromString(theirs.SerializeToString(deterministic=True)) == ours
