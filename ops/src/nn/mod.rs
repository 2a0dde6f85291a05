//! Networks: the only room that names dfdx.
