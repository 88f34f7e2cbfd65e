//! The codecs of `towpath-wire` from outside: tables of legal and illegal bytes, packets of the
//! Linux kernel, round trips, and the agreement with smoltcp's codecs.

mod icmp;
mod ip;
mod linux;
mod robustness;
mod smoltcp_agreement;
mod tcp_options;
mod tcp_segment;
mod values;
