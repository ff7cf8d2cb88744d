"""How many attention heads a width can have."""

from mmsa_core.errors import UserError


def fitting(width: int) -> str:
    """The numbers of heads that divide a width."""
    return ", ".join(str(n) for n in range(1, width + 1) if width % n == 0)


def check_heads(who: str, heads: int, dim: int) -> None:
    """Refuse a number of heads that does not divide the model's width."""
    if dim % heads:
        raise UserError(
            f"{who}: {heads} heads do not divide the model's width {dim}. "
            f"Numbers of heads that fit: {fitting(dim)}; or change the model's dim."
        )
