"""Makes the part of `sdk/resources.py` that the table of inputs says: each constructor's signature, and its help.

What an input means is written by hand, in the `Args:` of the first constructor that takes it; here it is wrapped, gets
its default and whether another value replaces the resource, and is repeated where another constructor takes it too.

Editors show a signature and the `Args:` of its docstring where they are written out, and less where both would be
those of a `TypedDict` by `Unpack`: of the class then `**inputs: **ConversionArgs`, and no argument.
"""

import textwrap
from collections.abc import Iterable

from make_schema import to_full_text

from lmconv_resource.lifecycle.inputs import Property

_TYPES = {
    "string": "pulumi.Input[str]",
    "boolean": "pulumi.Input[bool]",
    "number": "pulumi.Input[float]",
    "license_context": "pulumi.Input[LicenseContextArgs]",
    "assume_role": "AssumeRole",
    "integer": "pulumi.Input[int]",
    "fleet_instance[]": "pulumi.Input[Sequence[pulumi.Input[FleetInstanceArgs | Mapping[str, Any]]]]",
}
_OPTS = (
    "Pulumi's options. `custom_timeouts` (create, update) says how long to wait; default 12 hours. One that a "
    "transform sets never arrives: Pulumi does not tell a dynamic resource of it."
)


def make_init(summary: str, inputs: Iterable[Property]) -> str:
    """Return the head of a resource's constructor."""
    given = list(inputs)
    arguments = {
        "resource_name": "The resource's name in the stack.",
        **{each.name: to_full_text(each) for each in given},
    }
    lines = [
        "def __init__(",
        "    self,",
        "    resource_name: str,",
        "    *,",
        *(f"    {each.name}: {_TYPES[each.type]}{'' if each.required else ' | None = None'}," for each in given),
        "    opts: pulumi.ResourceOptions | None = None,",
        ") -> None:",
        f'    """{summary}',
        "",
        "    Args:",
        *(line for name, text in {**arguments, "opts": _OPTS}.items() for line in _wrap(name, text)),
        '    """',
    ]
    return textwrap.indent("\n".join(lines), "    ") + "\n        "


def _wrap(name: str, text: str) -> list[str]:
    starts = text if text[1:2].isupper() or name == "opts" else text[0].lower() + text[1:]
    # Four columns less, as a class indents all of it.
    return textwrap.wrap(
        f"{name}: {starts}", 116, initial_indent=" " * 8, subsequent_indent=" " * 12, break_on_hyphens=False
    )
