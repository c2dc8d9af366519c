"""Where the pixels of a crop lie in an image, and what is there. Parts of the kernels of ``lib.kernels.augment``."""

import triton
import triton.language as tl


@triton.jit
def _window(row, width, crop, WINDOW: tl.constexpr, PADDED: tl.constexpr):
    # Top, left, height and width of an image's window; ``row`` points to its parameters.
    tall = tl.load(row) * 0 + crop
    wide = tall
    if WINDOW >= 0:
        top, left = tl.load(row + WINDOW), tl.load(row + WINDOW + 1)
        tall, wide = tl.load(row + WINDOW + 2), tl.load(row + WINDOW + 3)
    elif PADDED >= 0:
        border = tl.load(row + PADDED + 2)
        places = width - crop + 2 * border + 1
        top = tl.floor(tl.load(row + PADDED) * places) - border
        left = tl.floor(tl.load(row + PADDED + 1) * places) - border
    else:
        top, left = tl.load(row), tl.load(row + 1)
    return top, left, tall, wide


@triton.jit
def place_of(
    row, y, x, width, crop, size,
    WINDOW: tl.constexpr, PADDED: tl.constexpr, WARP: tl.constexpr, RESAMPLES: tl.constexpr,
):  # fmt: skip
    """Return where pixel (y, x) of the crop lies in the whole image.

    That is the row and column of a pixel, and the shares of the pixels after it, down and across.
    """
    top, left, tall, wide = _window(row, width, crop, WINDOW, PADDED)
    x = tl.where(tl.load(row + 2) == 1, size - 1 - x, x)
    if not RESAMPLES:
        r, c = y + top.to(tl.int32), x + left.to(tl.int32)
        dy, dx = 0.0, 0.0
    else:
        down = ((y + 0.5) / size - 0.5) * tall
        across = ((x + 0.5) / size - 0.5) * wide
        if WARP >= 0:
            m00, m01 = tl.load(row + WARP), tl.load(row + WARP + 1)
            m10, m11 = tl.load(row + WARP + 2), tl.load(row + WARP + 3)
            across, down = m00 * across + m01 * down, m10 * across + m11 * down
        elif PADDED < 0:
            down = tl.maximum(tl.minimum(down, tall / 2 - 0.5), 0.5 - tall / 2)
            across = tl.maximum(tl.minimum(across, wide / 2 - 0.5), 0.5 - wide / 2)
        py, px = top + tall / 2 + down - 0.5, left + wide / 2 + across - 0.5
        r, c = tl.floor(py), tl.floor(px)
        dy, dx = py - r, px - c
        r, c = r.to(tl.int32), c.to(tl.int32)
    return r, c, dy, dx


@triton.jit
def mixed(image, r, c, dy, dx, mask, width, start, RESAMPLES: tl.constexpr, PADDED: tl.constexpr, CUBIC: tl.constexpr):
    """Return red, green and blue at a place of an image, or mean image, whose first row is ``start``."""
    red, green, blue = _pixel(image, r, c, mask, width, start, PADDED)
    if RESAMPLES and CUBIC:
        red, green, blue = red * 0, green * 0, blue * 0
        for i in tl.static_range(4):
            for j in tl.static_range(4):
                red1, green1, blue1 = _pixel(image, r + i - 1, c + j - 1, mask, width, start, PADDED)
                weight = _cubic(dy, i) * _cubic(dx, j)
                red, green, blue = red + weight * red1, green + weight * green1, blue + weight * blue1
        red, green = tl.minimum(tl.maximum(red, 0.0), 255.0), tl.minimum(tl.maximum(green, 0.0), 255.0)
        blue = tl.minimum(tl.maximum(blue, 0.0), 255.0)
    elif RESAMPLES:
        red1, green1, blue1 = _pixel(image, r, c + 1, mask, width, start, PADDED)
        red2, green2, blue2 = _pixel(image, r + 1, c, mask, width, start, PADDED)
        red3, green3, blue3 = _pixel(image, r + 1, c + 1, mask, width, start, PADDED)
        w0, w1, w2, w3 = (1 - dy) * (1 - dx), (1 - dy) * dx, dy * (1 - dx), dy * dx
        red = w0 * red + w1 * red1 + w2 * red2 + w3 * red3
        green = w0 * green + w1 * green1 + w2 * green2 + w3 * green3
        blue = w0 * blue + w1 * blue1 + w2 * blue2 + w3 * blue3
    return red, green, blue


@triton.jit
def _cubic(share, TAP: tl.constexpr):
    # The weight of pixel TAP of four in a row, of which the second lies ``share`` before the place: as in torch, with
    # a slope of -0.75.
    distance = tl.abs(share + 1 - TAP)
    if TAP % 3 == 0:
        weight = ((-0.75 * distance + 3.75) * distance - 6) * distance + 3
    else:
        weight = (1.25 * distance - 2.25) * distance * distance + 1
    return weight


@triton.jit
def _pixel(image, r, c, mask, width, start, PADDED: tl.constexpr):
    # A pixel by row and column of the whole image; beyond its edges zero or, without padding, reflected.
    if PADDED >= 0:
        mask = mask & (r >= 0) & (r < width) & (c >= 0) & (c < width)
    else:
        r, c = _reflected(r, width), _reflected(c, width)
    pixel = image + ((r - start) * width + c) * 3
    red, green = tl.load(pixel, mask, 0).to(tl.float32), tl.load(pixel + 1, mask, 0).to(tl.float32)
    return red, green, tl.load(pixel + 2, mask, 0).to(tl.float32)


@triton.jit
def _reflected(i, length):
    # Index -1 is 0 again, -2 is 1; likewise at the other end.
    i = tl.where(i < 0, -1 - i, i)
    i = tl.where(i >= length, 2 * length - 1 - i, i)
    return tl.minimum(tl.maximum(i, 0), length - 1)
