use ops::nn::matmul::{Mat, multiply};
fn t(name: &str, flop: f64, mut f: impl FnMut()) { let mut best = f64::MAX; f(); for _ in 0..500 { let a = std::time::Instant::now(); f(); best = best.min(a.elapsed().as_secs_f64() * 1e3); } println!("{name:24} {best:.4} ms {:.0} GFLOP/s", flop / best / 1e6); }
fn main() {
    for (nc, taps, px) in [(64, 288, 1056), (128, 576, 272), (64, 288, 1088),(128, 576, 288),(32, 9, 4160), (32, 9, 4352)] {
        let narrow = vec![0.5f32; nc * px]; let cols = vec![0.25f32; taps * px]; let w = vec![0.1f32; nc * taps];
        let mut dw = vec![0f32; nc * taps]; let mut out = vec![0f32; nc * px]; let mut big = vec![0f32; taps * px];
        let flop = 2.0 * (nc * taps * px) as f64;
        println!("{nc} {taps} {px}");
        t("fwd", flop, || multiply(Mat::new(&w, nc, taps), Mat::new(&cols, taps, px), false, &mut out, px));
        t("scatter", flop, || multiply(Mat::new(&w, nc, taps).t(), Mat::new(&narrow, nc, px), false, &mut big, px));
        let wt = w.clone();
        t("scatter wt", flop, || multiply(Mat::new(&wt, taps, nc), Mat::new(&narrow, nc, px), false, &mut big, px));
        t("dW A", flop, || multiply(Mat::new(&narrow, nc, px), Mat::new(&cols, taps, px).t(), true, &mut dw, taps));
        t("dW B (transposed out)", flop, || multiply(Mat::new(&cols, taps, px), Mat::new(&narrow, nc, px).t(), true, &mut dw, nc));
        let nt = narrow.clone();
        t("dW C", flop, || multiply(Mat::new(&cols, taps, px), Mat::new(&nt, px, nc), true, &mut dw, nc));
        let ct = cols.clone();
        t("dW D im2row", flop, || multiply(Mat::new(&narrow, nc, px), Mat::new(&ct, px, taps), true, &mut dw, taps));
    }
}
