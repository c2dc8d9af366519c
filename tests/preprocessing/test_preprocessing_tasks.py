import zlib

from preprocessing.tasks import AddUp, Write, make_desk


def test_a_written_file_is_described_and_added_up_exactly(tmp_path):
    """White pictures, and more of them than sixteen bits can add up."""
    desk = make_desk(img_size=40, file_batch_size=600, n_workers=1)
    desk.file(0)[...] = 255
    path = tmp_path / "00000.hkl"
    written = Write(0, path, 600, source_start=5, source_stop=605, add_up=True).run(desk)
    content = path.read_bytes()
    assert len(content) > 2 << 20  # so that it is read in pieces
    assert (written.file.bytes, written.file.crc32) == (len(content), zlib.crc32(content))
    assert (written.total == 600 * 255).all()
    assert (AddUp(path, zlib.crc32(content)).run(desk) == 600 * 255).all()
    assert AddUp(path, 0).run(desk) is None
    desk.close()
