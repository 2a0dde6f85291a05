//! Arrays in NumPy's NPY format.

use npyz::{NpyFile, Order, TypeChar};

/// A matrix in an NPY file: rows, columns, and numbers row after row. An array of one axis is one
/// column.
///
/// # Errors
/// When the bytes are no NPY file, or hold something other than real numbers on one or two axes.
pub fn read_matrix(bytes: &[u8]) -> Result<(usize, usize, Vec<f32>), String> {
    let broken = |error: std::io::Error| format!("is not a whole NPY file: {error}");
    let file = NpyFile::new(bytes).map_err(broken)?;
    let axes: Vec<usize> = file.shape().iter().map(|&axis| axis as usize).collect();
    let (rows, columns) = match axes[..] {
        [rows] => (rows, 1),
        [rows, columns] => (rows, columns),
        _ => return Err(format!("holds an array of {} axes, not one or two", axes.len())),
    };
    let dtype = file.dtype().descr();
    let npyz::DType::Plain(kind) = file.dtype() else {
        return Err(format!("holds records of type {dtype}, not numbers"));
    };
    // A header may claim more numbers than there are bytes.
    let claimed = rows.checked_mul(columns).and_then(|n| n.checked_mul(kind.size_field() as usize));
    if claimed.is_none_or(|claimed| claimed > bytes.len()) {
        return Err(format!("is cut short: it should hold {rows} × {columns} numbers"));
    }
    let fortran = file.order() == Order::Fortran;
    let values: Vec<f32> = match (kind.type_char(), kind.size_field()) {
        (TypeChar::Float, 4) => file.into_vec().map_err(broken)?,
        (TypeChar::Float, 8) => cast::<f64>(file, |x| x as f32)?,
        (TypeChar::Int, 1) => cast::<i8>(file, f32::from)?,
        (TypeChar::Int, 2) => cast::<i16>(file, f32::from)?,
        (TypeChar::Int, 4) => cast::<i32>(file, |x| x as f32)?,
        (TypeChar::Int, 8) => cast::<i64>(file, |x| x as f32)?,
        (TypeChar::Uint, 1) => cast::<u8>(file, f32::from)?,
        (TypeChar::Uint, 2) => cast::<u16>(file, f32::from)?,
        (TypeChar::Uint, 4) => cast::<u32>(file, |x| x as f32)?,
        (TypeChar::Uint, 8) => cast::<u64>(file, |x| x as f32)?,
        _ => return Err(format!("holds values of type {dtype}, not f32, f64 or whole numbers")),
    };
    if !fortran {
        return Ok((rows, columns, values));
    }
    let by_rows = (0..rows).flat_map(|row| (0..columns).map(move |column| column * rows + row));
    Ok((rows, columns, by_rows.map(|at| values[at]).collect()))
}

fn cast<T: npyz::Deserialize>(file: NpyFile<&[u8]>, to: fn(T) -> f32) -> Result<Vec<f32>, String> {
    let values: Vec<T> =
        file.into_vec().map_err(|error| format!("is not a whole NPY file: {error}"))?;
    Ok(values.into_iter().map(to).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use npyz::WriterBuilder;

    fn npy<T: npyz::AutoSerialize + Clone>(shape: &[u64], order: Order, values: &[T]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let options = npyz::WriteOptions::new().default_dtype().shape(shape).order(order);
        let mut writer = options.writer(&mut bytes).begin_nd().expect("a header");
        writer.extend(values.iter().cloned()).expect("values");
        writer.finish().expect("an end");
        bytes
    }

    #[test]
    fn reads_both_orders_and_every_width() {
        let expected = (2, 3, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let c = npy(&[2, 3], Order::C, &[1.0_f64, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(read_matrix(&c), Ok(expected.clone()));
        let fortran = npy(&[2, 3], Order::Fortran, &[1.0_f32, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(read_matrix(&fortran), Ok(expected.clone()));
        let whole = npy(&[2, 3], Order::C, &[1_i64, 2, 3, 4, 5, 6]);
        assert_eq!(read_matrix(&whole), Ok(expected));
        assert_eq!(read_matrix(&npy(&[2], Order::C, &[7_u8, 9])), Ok((2, 1, vec![7.0, 9.0])));
    }

    #[test]
    fn refuses_what_is_no_matrix() {
        let says = |bytes: &[u8], expected: &str| {
            let fault = read_matrix(bytes).expect_err("no matrix");
            assert!(fault.contains(expected), "{fault}");
        };
        says(b"clip,1,2", "not a whole NPY file");
        says(&npy(&[1, 1, 1], Order::C, &[1.0_f32]), "3 axes");
        let whole = npy(&[4, 4], Order::C, &[0.0_f32; 16]);
        says(&whole[..whole.len() - 9], "not a whole NPY file");
        let mut lying = whole.clone();
        let at = whole.windows(4).position(|four| four == b"4, 4").expect("a shape");
        lying[at..at + 4].copy_from_slice(b"9, 9");
        says(&lying, "cut short");
        says(&whole[..20], "not a whole NPY file");
    }
}
