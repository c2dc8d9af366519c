import zlib
from pathlib import Path

import numpy as np

from lib.packing.buffers import allocate_buffers
from lib.packing.tasks import SumImages, WriteFile


def test_a_written_file_is_described_and_summed_exactly(tmp_path: Path) -> None:
    """White images, more than 16 bits can sum."""
    buffers = allocate_buffers(img_size=40, file_batch_size=600, n_workers=1)
    buffers.files[0] = 255
    path = tmp_path / "00000.hkl"
    written = WriteFile(0, str(path), 600, source_start=5, source_stop=605, sum_images=True).run(buffers)
    content = path.read_bytes()
    assert len(content) > 2 << 20  # so that it is read in chunks
    assert content[written.file.offset :][: 600 * 40 * 40 * 3] == buffers.files[0].tobytes()
    assert (written.file.bytes, written.file.crc32) == (len(content), zlib.crc32(content))
    assert np.all(np.frombuffer(written.total, np.int64) == 600 * 255)
    total = SumImages(str(path), zlib.crc32(content)).run(buffers)
    assert np.all(np.frombuffer(total, np.int64) == 600 * 255)
    assert SumImages(str(path), 0).run(buffers) == b""
