//! WAN tests: the kernel's TCP on one side, Towpath's on the other, a long and lossy way between
//! them; and beside each run the kernel with itself over the very same way.

pub mod bench;
pub mod ends;
pub mod flow;
pub mod lane;
pub mod links;
pub mod relay;
pub mod run;
