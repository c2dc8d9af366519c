"""tandem pack: make a data set, as preprocessing/generate_data.sh does in a clone."""

from ..packing import command
from ..packing.pack import pack as pack_all


def pack(description: str) -> int:
    """Run ``tandem pack``. Returns the exit status."""
    return command.run("tandem pack", description, pack_all)
