//! The kernels of a GPU, compiled as C++ and run on the CPU, beside the CPU's own training.

#![allow(clippy::unwrap_used, reason = "a failure stops the test")]

mod cuda;

use cache::Array;
use cuda::Emulator;
use ops::math::random::{Purpose, Random};
use ops::nn::cuda::{Precision, driver::Driver, net::Net, plan::Plan, source};
use ops::nn::layers::{Architecture, Network};

#[test]
fn smoke() {
    let network = Network::new(&Architecture {
        input: [9, 14],
        channels: vec![4, 6],
        kernel: 3,
        stride: 2,
        batch_norm: false,
        latent: 3,
        variational: true,
    });
    let mut driver = Emulator::new();
    let t = std::time::Instant::now();
    driver.load(&source::units(&network, Precision::F32)).unwrap();
    eprintln!("{:?}", t.elapsed());
    let plan = Plan::new(&network, Precision::F32, 21, 8);
    let start = driver.reserve(plan.bytes).unwrap();
    let plan = plan.from(start);
    let mut net = Net { driver, network, plan, precision: Precision::F32 };
    let data = vec![0.5_f32; 21 * 9 * 14];
    let bytes: Vec<u8> = data.iter().flat_map(|x| x.to_le_bytes()).collect();
    net.driver.write(net.plan.data, &bytes).unwrap();
    let order: Vec<u8> = (0..21_u32).flat_map(|x| x.to_le_bytes()).collect();
    net.driver.write(net.plan.order, &order).unwrap();
    net.driver.write(net.plan.clock, &[0; 20]).unwrap();
    let p: Vec<u8> =
        net.network.initial_parameters(7).iter().flat_map(|x| x.to_le_bytes()).collect();
    net.driver.write(net.plan.parameters[0], &p).unwrap();
    let t = std::time::Instant::now();
    net.encode(8, true).unwrap();
    net.decode(8, true).unwrap();
    let mut out = vec![0; 4 * 3 * 8];
    net.driver.read(net.plan.latent[0], &mut out).unwrap();
    let out: Vec<f32> = out.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    eprintln!("{out:?} {:?}", t.elapsed());
    let _ = (Array::new([1], vec![0.0]), Random::new(0, Purpose::Null, 0));
}
