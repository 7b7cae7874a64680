"""The directive `cli-reference`: every command with its arguments and options, from the app."""

import re
from typing import Any

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from whyclip.cli import app

# Options that every command has, or that many share, are described once.
SHARED = ("--threads", "--quiet", "--verbose", "--help")
_COMMENT = re.compile(r"\[dim\](.*?)\[/dim\]")


def plain(text: str) -> str:
    """Turn rich's markup into Markdown."""
    text = re.sub(r"\[bold\](.*?)\[/bold\]", r"`\1`", text)
    text = re.sub(r"\[italic\](.*?)\[/italic\]", r"*\1*", text)
    text = _COMMENT.sub(r"\1", text).replace("\\[", "[")
    # As code, so that typographic quotes and dashes do not change what is to be typed.
    text = re.sub(r"(?<![`\w-])(--[a-z][\w-]*)", r"`\1`", text)
    text = re.sub(r"(pip install '[^']*')", r"`\1`", text)
    # Outside of code, a word such as {name} or <str> would be read as markup.
    return re.sub(r"(?<!`)([{}<>])(?!`)", r"\\\1", text)


def described(help_text: str) -> tuple[str, str]:
    """Split a command's help into its text and its examples, both as Markdown."""
    text, _, examples = help_text.partition("\b")
    lines = _COMMENT.sub(r"\1", examples).replace("\\[", "[").strip().splitlines()[1:]
    shown = "\n".join(line.removeprefix("  ") for line in lines)
    return plain(text.strip()), f"```text\n{shown}\n```" if shown else ""


def names(parameter: Any) -> str:
    """An option's names with its placeholder, or an argument's placeholder."""
    if parameter.param_type_name == "argument":
        return f"`{(parameter.metavar or parameter.name.upper()).strip('[]')}`"
    flags = [*parameter.opts, *parameter.secondary_opts]
    value = "" if parameter.is_flag else f" {placeholder(parameter)}"
    return ", ".join(f"`{flag}`" for flag in flags) + (f" `{value.strip()}`" if value else "")


def placeholder(parameter: Any) -> str:
    """What stands for the value of an option."""
    if parameter.metavar:
        return str(parameter.metavar)
    # Typer has brought its own classes of parameters since it left click.
    described_by = getattr(parameter, "type_descriptor", None)
    kind = str(described_by.annotation if described_by else parameter.type.name).lower()
    choices = re.findall(r"'([\w-]+)'", kind) if kind.startswith("typing.literal") else []
    if choices:
        return "|".join(choices)
    for part, shown in (("path", "PATH"), ("int", "N"), ("float", "X")):
        if part in kind:
            return shown
    return "TEXT"


def bounds(parameter: Any) -> str:
    """The least number that an option takes, as a sentence."""
    kind = getattr(parameter, "type", None)
    low = getattr(parameter, "min", None) or getattr(kind, "min", None)
    return f" At least {low}." if low else ""


def entry(parameter: Any) -> str:
    """One argument or option as an item of a definition list."""
    text = plain(parameter.help or "").strip()
    default = parameter.default
    written = default is not None and default is not False and default != ""
    shown = written and not parameter.required and "Default" not in text
    value = f" Default: `{default}`." if shown and not callable(default) else ""
    text += "." * (bool(text) and text[-1] not in ".!?")
    need = " Required." if parameter.required and parameter.param_type_name == "option" else ""
    return f"{names(parameter)}\n: {text}{bounds(parameter)}{value}{need}"


def parameters(command: Any) -> list[Any]:
    """A command's arguments and options, without those described once."""
    return [
        one
        for one in command.params
        if not getattr(one, "hidden", False) and not set(SHARED) & set(one.opts)
    ]


def section(name: str, command: Any) -> str:
    """One command: usage, help, arguments and options, examples."""
    text, examples = described(command.help or "")
    arguments = [one for one in parameters(command) if one.param_type_name == "argument"]
    usage = " ".join(
        [
            "whyclip",
            name,
            *(one.metavar if one.required else f"[{one.metavar.strip('[]')}]" for one in arguments),
            "[OPTIONS]",
        ]
    )
    parts = [f"## whyclip {name}", f"```text\n{usage}\n```", text]
    parts += [entry(one) for one in parameters(command)]
    return "\n\n".join([*parts, examples]).strip()


def as_markdown() -> str:
    """All commands, in the order of the app."""
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return "\n\n".join(section(name, command) for name, command in commands.items())


class CliReference(SphinxDirective):
    """``cli-reference``, without arguments."""

    def run(self) -> list[nodes.Node]:
        """Parse a section for each command as Markdown where the directive stands."""
        return self.parse_text_to_nodes(as_markdown(), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("cli-reference", CliReference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
