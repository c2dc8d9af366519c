import zlib
from pathlib import Path

import numpy as np

from preprocessing.tasks import SumImages, Write, allocate_buffers


def test_a_written_file_is_described_and_added_up_exactly(tmp_path: Path) -> None:
    """White pictures, and more of them than sixteen bits can add up."""
    buffers = allocate_buffers(img_size=40, file_batch_size=600, n_workers=1)
    buffers.file(0)[...] = 255
    path = tmp_path / "00000.hkl"
    written = Write(0, path, 600, source_start=5, source_stop=605, sum_images=True).run(buffers)
    content = path.read_bytes()
    assert len(content) > 2 << 20  # so that it is read in pieces
    assert (written.file.bytes, written.file.crc32) == (len(content), zlib.crc32(content))
    assert np.all(written.total == 600 * 255)
    assert np.all(SumImages(path, zlib.crc32(content)).run(buffers) == 600 * 255)
    assert SumImages(path, 0).run(buffers) is None
    buffers.close()
