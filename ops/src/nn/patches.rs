//! The geometry that a convolution and its transpose share, and data movements on it.
//!
//! Both layers connect a *wide* image (input of the convolution, output of the transposed one) to a
//! *narrow* image. Tap (a, b) of the kernel at narrow pixel (i, j) reads wide pixel (i·stride + a −
//! padding, j·stride + b − padding); pixels outside the wide image are zero or are dropped.
//!
//! Every `stride`-th pixel of the wide image, along both axes, makes a *plane*, with a border of
//! zeros as wide as the taps reach. Planes and the narrow image share one pitch, so that the pixels
//! read by a tap, over all narrow pixels, are one run of a plane: laying out the matrix for a
//! product (im2col) copies long runs, and its adjoint (col2im) adds them. The price is a gap of a
//! few columns at the end of each narrow row, whose values are ignored. A narrow image with gaps is
//! a *grid*.

use std::ops::Range;

/// The geometry: the wide pixels that each narrow pixel reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patches {
    /// The number of channels of the wide image.
    pub channels: usize,
    /// Rows and columns of the wide image.
    pub wide: [usize; 2],
    /// Rows and columns of the narrow image.
    pub narrow: [usize; 2],
    /// The kernel size along each axis.
    pub kernel: usize,
    /// The number of wide pixels from one narrow pixel to the next.
    pub stride: usize,
    /// The number of wide pixels by which the first tap lies before the image.
    pub padding: usize,
}

/// An image to which a bias and ReLU are still to be applied when it is read.
#[derive(Clone, Copy)]
pub struct Image<'a> {
    /// The values, row after row, channel after channel.
    pub values: &'a [f32],
    /// The distance from the start of a row to that of the next.
    pub pitch: usize,
    /// The bias of each channel.
    pub bias: Option<&'a [f32]>,
    /// True if negative values become 0.
    pub relu: bool,
}

impl Image<'_> {
    fn start(&self, channel: usize) -> f32 {
        // Adding −0 changes no number, unlike +0.
        self.bias.map_or(-0.0, |bias| bias[channel])
    }

    fn least(&self) -> f32 {
        if self.relu { 0.0 } else { f32::NEG_INFINITY }
    }
}

/// A value with its bias, raised to `least`. The form of the comparison keeps NaN, so that it is
/// noticed.
#[inline(always)]
fn finish(value: f32, start: f32, least: f32) -> f32 {
    let value = value + start;
    if value < least { least } else { value }
}

impl Patches {
    /// The number of rows of the gathered matrix: wide channels × kernel × kernel.
    pub fn taps(&self) -> usize {
        self.channels * self.kernel * self.kernel
    }

    /// The number of values in the wide image.
    pub fn wide_len(&self) -> usize {
        self.channels * self.wide[0] * self.wide[1]
    }

    /// The number of values in one channel of the narrow image.
    pub fn narrow_area(&self) -> usize {
        self.narrow[0] * self.narrow[1]
    }

    /// The number of values in one channel of a grid, which is the number of columns of the
    /// gathered matrix.
    pub fn grid_area(&self) -> usize {
        self.narrow[0] * self.pitch()
    }

    /// The number of values in the planes of all channels.
    pub fn planes_len(&self) -> usize {
        self.channels * self.stride * self.stride * self.plane_len()
    }

    /// The position of a tap: (whole strides from the narrow pixel, phase within a stride).
    fn reach(&self, tap: usize) -> (isize, usize) {
        let offset = tap as isize - self.padding as isize;
        let stride = self.stride as isize;
        (offset.div_euclid(stride), offset.rem_euclid(stride) as usize)
    }

    /// The largest number of whole strides by which a tap lies before the narrow pixel.
    fn border(&self) -> usize {
        self.reach(0).0.unsigned_abs().max(self.reach(self.kernel - 1).0.min(0).unsigned_abs())
    }

    /// The number of whole strides between the first and the last tap, or from the pixel itself.
    fn span(&self) -> usize {
        (self.reach(self.kernel - 1).0.max(0) + self.border() as isize) as usize
    }

    fn pitch(&self) -> usize {
        self.narrow[1] + self.span()
    }

    fn plane_rows(&self) -> usize {
        self.narrow[0] + self.span()
    }

    fn plane_len(&self) -> usize {
        self.plane_rows() * self.pitch() + self.span()
    }

    /// The wide image `values`, without bias and ReLU.
    pub fn plain<'a>(&self, values: &'a [f32]) -> Image<'a> {
        Image { values, pitch: self.wide[1], bias: None, relu: false }
    }

    /// A grid as an image that the next layer can read.
    pub fn image<'a>(&self, grid: &'a [f32], bias: &'a [f32], relu: bool) -> Image<'a> {
        Image { values: grid, pitch: self.pitch(), bias: Some(bias), relu }
    }

    /// Splits the wide image into planes.
    pub fn split(&self, wide: Image<'_>, planes: &mut [f32]) {
        dispatch!(split_avx512, split_avx2, split_plain, (self, wide, planes))
    }

    /// The run of the planes that forms each row of the gathered matrix.
    fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        let (border, pitch, stride) = (self.border() as isize, self.pitch(), self.stride);
        let (kernel, plane, area) = (self.kernel, self.plane_len(), self.grid_area());
        let reaches: Vec<(isize, usize)> = (0..kernel).map(|tap| self.reach(tap)).collect();
        (0..self.taps()).map(move |row| {
            let (c, (dy, qy)) = (row / kernel / kernel, reaches[row / kernel % kernel]);
            let (dx, qx) = reaches[row % kernel];
            let offset = (dy + border) as usize * pitch + (dx + border) as usize;
            let start = ((c * stride + qy) * stride + qx) * plane + offset;
            start..start + area
        })
    }

    /// Gathers a range of the columns (i, j): `matrix[c, a, b, i, j]` is the wide pixel of channel
    /// c that tap (a, b) reads at narrow pixel (i, j).
    pub fn gather(&self, planes: &[f32], columns: Range<usize>, matrix: &mut [f32]) {
        for (run, row) in self.runs().zip(matrix.chunks_exact_mut(columns.len())) {
            row.copy_from_slice(&planes[run][columns.clone()]);
        }
    }

    /// The adjoint of [`Patches::gather`]: adds the entries of the matrix to their wide pixels.
    /// Gaps of the matrix must be 0.
    pub fn scatter(&self, matrix: &[f32], planes: &mut [f32]) {
        dispatch!(scatter_avx512, scatter_avx2, scatter_plain, (self, matrix, planes))
    }

    /// Combines the planes to the wide image, adds its bias to each channel, and sets negative
    /// values to 0 if `relu`.
    pub fn merge(&self, planes: &[f32], bias: Option<&[f32]>, relu: bool, wide: &mut [f32]) {
        dispatch!(merge_avx512, merge_avx2, merge_plain, (self, planes, bias, relu, wide))
    }

    /// Converts a narrow image to a grid, one channel after the other, with gaps of 0.
    pub fn spread(&self, narrow: &[f32], grid: &mut [f32]) {
        let (columns, lines) = (self.narrow[1], grid.chunks_exact_mut(self.pitch()));
        for (line, row) in lines.zip(narrow.chunks_exact(columns)) {
            line[..columns].copy_from_slice(row);
            line[columns..].fill(0.0);
        }
    }

    /// Converts a grid to a narrow image: adds each channel's bias, and sets negative values to 0
    /// if `relu`.
    pub fn close(&self, grid: &[f32], bias: Option<&[f32]>, relu: bool, narrow: &mut [f32]) {
        dispatch!(close_avx512, close_avx2, close_plain, (self, grid, bias, relu, narrow))
    }
}

versions!(split_body, split_avx512, split_avx2, split_plain, [],
    (p: &Patches, wide: Image<'_>, planes: &mut [f32]));
versions!(add_runs, scatter_avx512, scatter_avx2, scatter_plain, [],
    (p: &Patches, matrix: &[f32], planes: &mut [f32]));
versions!(merge_body, merge_avx512, merge_avx2, merge_plain, [],
    (p: &Patches, planes: &[f32], bias: Option<&[f32]>, relu: bool, wide: &mut [f32]));
versions!(close_body, close_avx512, close_avx2, close_plain, [],
    (p: &Patches, grid: &[f32], bias: Option<&[f32]>, relu: bool, narrow: &mut [f32]));

#[inline(always)]
fn split_body(p: &Patches, wide: Image<'_>, planes: &mut [f32]) {
    let [rows, columns] = p.wide;
    let (border, stride, pitch) = (p.border(), p.stride, p.pitch());
    let (plane_rows, least) = (p.plane_rows(), wide.least());
    for (index, plane) in planes.chunks_exact_mut(p.plane_len()).enumerate() {
        let (c, qy, qx) = (index / stride / stride, index / stride % stride, index % stride);
        let (image, start) = (&wide.values[c * rows * wide.pitch..], wide.start(c));
        // Limited to the columns that the wide image has in this phase, and that taps can read.
        let count = columns.saturating_sub(qx).div_ceil(stride).min(pitch - border);
        for (row, line) in plane.chunks_mut(pitch).enumerate() {
            let y = (row as isize - border as isize) * stride as isize + qy as isize;
            let inside = row < plane_rows && y >= 0 && (y as usize) < rows;
            if !inside || count == 0 {
                line.fill(0.0);
                continue;
            }
            line[..border].fill(0.0);
            line[border + count..].fill(0.0);
            let source = &image[y as usize * wide.pitch..][qx..columns];
            copy_strided(
                source,
                stride,
                |x| finish(x, start, least),
                &mut line[border..border + count],
            );
        }
    }
}

#[inline(always)]
fn add_runs(p: &Patches, matrix: &[f32], planes: &mut [f32]) {
    planes.fill(0.0);
    for (run, row) in p.runs().zip(matrix.chunks_exact(p.grid_area())) {
        planes[run].iter_mut().zip(row).for_each(|(onto, from)| *onto += *from);
    }
}

#[inline(always)]
fn merge_body(p: &Patches, planes: &[f32], bias: Option<&[f32]>, relu: bool, wide: &mut [f32]) {
    let ([rows, columns], stride, pitch) = (p.wide, p.stride, p.pitch());
    let (border, plane, plane_rows) = (p.border(), p.plane_len(), p.plane_rows());
    let least = if relu { 0.0 } else { f32::NEG_INFINITY };
    for (line, out) in wide.chunks_exact_mut(columns).enumerate() {
        let (c, y) = (line / rows, line % rows);
        let start = bias.map_or(0.0, |bias| bias[c]);
        let row = y / stride + border;
        // Pixels that no tap reads keep the start value.
        let met = if row < plane_rows { columns.min((pitch - border) * stride) } else { 0 };
        out[met..].fill(finish(0.0, start, least));
        let phase = |qx: usize| {
            let index = (c * stride + y % stride) * stride + qx;
            &planes[index * plane + row.min(plane_rows - 1) * pitch + border..]
        };
        interleave(phase, stride, |value| finish(value, start, least), &mut out[..met]);
    }
}

#[inline(always)]
fn close_body(p: &Patches, grid: &[f32], bias: Option<&[f32]>, relu: bool, narrow: &mut [f32]) {
    let [rows, columns] = p.narrow;
    let least = if relu { 0.0 } else { f32::NEG_INFINITY };
    let lines = grid.chunks_exact(p.pitch()).zip(narrow.chunks_exact_mut(columns));
    for (at, (line, row)) in lines.enumerate() {
        let start = bias.map_or(0.0, |bias| bias[at / rows]);
        row.iter_mut().zip(line).for_each(|(to, from)| *to = finish(*from, start, least));
    }
}

/// Applies `finish` to every `stride`-th number, from the first.
#[inline(always)]
fn copy_strided(from: &[f32], stride: usize, finish: impl Fn(f32) -> f32, to: &mut [f32]) {
    match stride {
        1 => to.iter_mut().zip(from).for_each(|(to, from)| *to = finish(*from)),
        2 => {
            let (pairs, last) = from.as_chunks::<2>();
            to.iter_mut().zip(pairs).for_each(|(to, pair)| *to = finish(pair[0]));
            if let (Some(to), Some(last)) = (to.get_mut(pairs.len()), last.first()) {
                *to = finish(*last);
            }
        }
        _ => to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, x)| *to = finish(*x)),
    }
}

/// Interleaves phases: `to[x] = finish(phase(x mod stride)[x div stride])`.
#[inline(always)]
fn interleave<'a>(
    phase: impl Fn(usize) -> &'a [f32],
    stride: usize,
    finish: impl Fn(f32) -> f32,
    to: &mut [f32],
) {
    match stride {
        1 => to.iter_mut().zip(phase(0)).for_each(|(to, from)| *to = finish(*from)),
        2 => {
            let (even, odd) = (phase(0), phase(1));
            let (pairs, rest) = to.as_chunks_mut::<2>();
            let whole = pairs.len();
            for ((pair, even), odd) in pairs.iter_mut().zip(even).zip(odd) {
                *pair = [finish(*even), finish(*odd)];
            }
            rest.iter_mut().for_each(|last| *last = finish(even[whole]));
        }
        _ => {
            for qx in 0..stride {
                let onto = to.iter_mut().skip(qx).step_by(stride);
                onto.zip(phase(qx)).for_each(|(to, from)| *to = finish(*from));
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any small geometry a layer can have, odd sizes and single pixels included.
    pub fn geometries() -> impl Strategy<Value = Patches> {
        let sizes = (1..4usize, 1..12usize, 1..12usize);
        (sizes, 1..6usize, 1..4usize, 0..3usize, any::<bool>(), 0..3usize).prop_filter_map(
            "the kernel is larger than the padded image",
            |((channels, height, width), kernel, stride, padding, transposed, extra)| {
                let [wide, narrow] = if transposed {
                    let extra = extra.min(stride - 1);
                    let out =
                        |n: usize| ((n - 1) * stride + kernel + extra).checked_sub(2 * padding);
                    let wide = [out(height)?, out(width)?];
                    (wide[0] > 0 && wide[1] > 0).then_some([wide, [height, width]])?
                } else {
                    let out = |n: usize| Some((n + 2 * padding).checked_sub(kernel)? / stride + 1);
                    [[height, width], [out(height)?, out(width)?]]
                };
                Some(Patches { channels, wide, narrow, kernel, stride, padding })
            },
        )
    }

    /// Calls `meet(tap, narrow pixel, wide pixel)` for all combinations; taps and wide pixels are
    /// numbered over all channels.
    pub fn for_each_connection(p: &Patches, mut meet: impl FnMut(usize, usize, usize)) {
        for tap in 0..p.taps() {
            let (c, a, b) = (tap / p.kernel / p.kernel, tap / p.kernel % p.kernel, tap % p.kernel);
            for pixel in 0..p.narrow_area() {
                let (i, j) = (pixel / p.narrow[1], pixel % p.narrow[1]);
                let y = (i * p.stride + a).checked_sub(p.padding).filter(|y| *y < p.wide[0]);
                let x = (j * p.stride + b).checked_sub(p.padding).filter(|x| *x < p.wide[1]);
                if let (Some(y), Some(x)) = (y, x) {
                    meet(tap, pixel, (c * p.wide[0] + y) * p.wide[1] + x);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn gathering_and_scattering_follow_the_definition(p in geometries(), relu: bool) {
            let (pixels, area) = (p.narrow_area(), p.grid_area());
            let wide: Vec<f32> = (0..p.wide_len()).map(|i| i as f32 + 1.0).collect();
            let mut planes = vec![f32::NAN; p.planes_len()];
            p.split(p.plain(&wide), &mut planes);
            let mut matrix = vec![f32::NAN; p.taps() * area];
            p.gather(&planes, 0..area, &mut matrix);
            let mut gathered = vec![f32::NAN; p.taps() * pixels];
            p.close(&matrix, None, false, &mut gathered);
            let mut expected = vec![0.0; gathered.len()];
            for_each_connection(&p, |tap, pixel, at| expected[tap * pixels + pixel] = wide[at]);
            prop_assert_eq!(&gathered, &expected);

            let given: Vec<f32> = (0..gathered.len()).map(|i| (i % 13) as f32 - 6.0).collect();
            p.spread(&given, &mut matrix);
            let start = [-1.0, 0.0, 1.0];
            let mut sum: Vec<f32> =
                (0..p.wide_len()).map(|at| start[at / p.wide[0] / p.wide[1]]).collect();
            for_each_connection(&p, |tap, pixel, at| sum[at] += given[tap * pixels + pixel]);
            if relu {
                sum.iter_mut().for_each(|x| *x = x.max(0.0));
            }
            planes.fill(f32::NAN);
            p.scatter(&matrix, &mut planes);
            let mut back = vec![f32::NAN; p.wide_len()];
            p.merge(&planes, Some(&start), relu, &mut back);
            prop_assert_eq!(back, sum);
        }
    }
}
