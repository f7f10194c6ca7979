"""CHGNet as neutral weights, and back (`backbones.neutral`)."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from fire_core.backbones.neutral import NeutralModel
from fire_core.errors import BackboneError

if TYPE_CHECKING:
    from collections.abc import Mapping

FAMILY: Final = "chgnet"
NOTICE: Final = {
    "authors": "B. Deng et al., Nat. Mach. Intell. 5 (2023) 1031",
    "licence": "modified BSD, The Regents of the University of California",
    "source": "chgnet 0.3.0 of the package chgnet, or fine-tuned from it",
}
"""Of the published weights, which every model here begins with."""


def chgnet_to_neutral(model: Any) -> NeutralModel:
    """Return a CHGNet as the arguments that it was made with, weights and buffers.

    Raises
    ------
    BackboneError
        It was made with an object of Python that JSON cannot hold.
    """
    arguments = dict(model.model_args)
    try:
        json.dumps(arguments)
    except TypeError as error:
        msg = (
            f"this CHGNet was made with arguments that have no neutral form ({error}); "
            "keep its own file"
        )
        raise BackboneError(msg) from error
    notice = NOTICE | {"library": f"chgnet {version('chgnet')}"}
    tensors = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    return NeutralModel(FAMILY, {"arguments": arguments}, tensors, notice)


def chgnet_from_neutral(neutral: NeutralModel) -> Any:
    """Return the CHGNet of neutral weights, on the CPU, in the type of the weights.

    Raises
    ------
    BackboneError
        The weights are none that the installed chgnet can build a model of.
    """
    if neutral.family != FAMILY:
        msg = f"expected neutral weights of {FAMILY}, got those of {neutral.family}"
        raise BackboneError(msg)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from chgnet.model import CHGNet

        arguments: Mapping[str, Any] = neutral.hyperparameters.get("arguments", {})
        try:
            model = CHGNet(**arguments)
            model = model.to(neutral.tensors["bond_embedding.weight"].dtype)
            model.load_state_dict(dict(neutral.tensors))
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            made_by = neutral.notice.get("library", "another release of chgnet")
            msg = (
                f"chgnet {version('chgnet')} cannot build this model of {made_by} "
                f"({error}); install that release"
            )
            raise BackboneError(msg) from error
    return model
