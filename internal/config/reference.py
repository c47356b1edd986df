"""The reference of all settings, made from the model: `docs/configuration.md` holds it."""

from pydantic.fields import FieldInfo

from internal.config.settings import SECRET_FIELDS, Settings


def settings_reference() -> str:
    """A Markdown table: key, default, whether it is a secret, meaning."""
    rows = [
        f"| `{name.upper()}` | {_default(field)} | {'yes' if name in SECRET_FIELDS else ''} "
        f"| {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| key | default | secret | meaning |", "|---|---|---|---|", *rows]) + "\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default in (None, []):
        return ""
    value = field.default
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
