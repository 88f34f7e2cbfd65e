//! What a stack counts: SNMP's names where there is one, and a reason for every dropped packet.

macro_rules! counters {
    ($( $(#[doc = $doc:expr])* $field:ident, $name:literal; )*) => {
        /// The counters of one stack. They only grow, but for `curr_estab`.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counters { $( $(#[doc = $doc])* pub $field: u64, )* }

        impl Counters {
            /// Every counter with its name: SNMP's, Linux's `TcpExt*`, or `Towpath*`.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$( ($name, self.$field), )*].into_iter()
            }
        }
    };
}

counters! {
    /// Connects begun.
    active_opens, "TcpActiveOpens";
    /// Connections made from an arriving SYN.
    passive_opens, "TcpPassiveOpens";
    /// Handshakes that failed.
    attempt_fails, "TcpAttemptFails";
    /// Resets of established connections, in or out.
    estab_resets, "TcpEstabResets";
    /// Connections in ESTABLISHED or CLOSE-WAIT now.
    curr_estab, "TcpCurrEstab";
    /// Segments that arrived.
    in_segs, "TcpInSegs";
    /// Segments sent, retransmissions not counted.
    out_segs, "TcpOutSegs";
    /// Segments sent again.
    retrans_segs, "TcpRetransSegs";
    /// Resets sent.
    out_rsts, "TcpOutRsts";
    /// Retransmission time-outs.
    timeouts, "TcpExtTCPTimeouts";
    /// Segments sent again in fast recovery.
    fast_retrans, "TcpExtTCPFastRetrans";
    /// Segments sent again after a time-out, beside those that the timer itself sent.
    slow_start_retrans, "TcpExtTCPSlowStartRetrans";
    /// Segments that were sent again and lost again.
    lost_retransmit, "TcpExtTCPLostRetransmit";
    /// Fast recoveries with SACK.
    sack_recovery, "TcpExtTCPSackRecovery";
    /// Fast recoveries without SACK.
    reno_recovery, "TcpExtTCPRenoRecovery";
    /// Tail loss probes sent.
    loss_probes, "TcpExtTCPLossProbes";
    /// Losses that a tail loss probe repaired before anyone saw them.
    loss_probe_recovery, "TcpExtTCPLossProbeRecovery";
    /// Recoveries undone where they ended: they were not necessary.
    full_undo, "TcpExtTCPFullUndo";
    /// Recoveries undone on their way.
    partial_undo, "TcpExtTCPPartialUndo";
    /// Recoveries undone because all that was sent again arrived twice.
    dsack_undo, "TcpExtTCPDSACKUndo";
    /// Time-outs undone.
    loss_undo, "TcpExtTCPLossUndo";
    /// Time-outs that F-RTO found to be spurious.
    spurious_rtos, "TcpExtTCPSpuriousRTOs";
    /// Peers that dropped what they had reported.
    sack_reneging, "TcpExtTCPSACKReneging";
    /// How often reordering was seen by SACK.
    sack_reorder, "TcpExtTCPSACKReorder";
    /// How often reordering was seen by timestamps.
    ts_reorder, "TcpExtTCPTSReorder";
    /// How often reordering was seen by the number of duplicates.
    reno_reorder, "TcpExtTCPRenoReorder";
    /// D-SACKs received: of what is acknowledged.
    dsack_recv, "TcpExtTCPDSACKRecv";
    /// D-SACKs received: of what lies beyond a hole.
    dsack_ofo_recv, "TcpExtTCPDSACKOfoRecv";
    /// Segments that D-SACKs reported.
    dsack_recv_segs, "TcpExtTCPDSACKRecvSegs";
    /// D-SACKs not believed: more than was ever sent again.
    dsack_ignored_dubious, "TcpExtTCPDSACKIgnoredDubious";
    /// SYNs and final ACKs dropped because the accept queue was full.
    listen_overflows, "TcpExtListenOverflows";
    /// SYNs dropped by a listener for any reason.
    listen_drops, "TcpExtListenDrops";
    /// SYNs dropped because the SYN queue was full.
    syn_queue_full, "TcpExtTCPReqQFullDrop";
    /// Final ACKs of handshakes that wait for data (TCP_DEFER_ACCEPT).
    defer_accept_drops, "TcpExtTCPDeferAcceptDrop";
    /// SYNs answered with a cookie because the SYN queue was full.
    syn_queue_cookies, "TcpExtTCPReqQFullDoCookies";
    /// SYN cookies sent.
    syncookies_sent, "TcpExtSyncookiesSent";
    /// SYN cookies that came back and were right.
    syncookies_recv, "TcpExtSyncookiesRecv";
    /// Acknowledgments that were no SYN cookie of ours, or one that is too old.
    syncookies_failed, "TcpExtSyncookiesFailed";
    /// Half-open connections that a reset ended, the peer's or ours.
    embryonic_rsts, "TcpExtEmbryonicRsts";
    /// Challenge ACKs sent (RFC 5961).
    challenge_acks, "TcpExtTCPChallengeACK";
    /// SYNs in a synchronized state, answered by a challenge ACK or not at all.
    syn_challenge, "TcpExtTCPSYNChallenge";
    /// Answers to a half-open connection's peer left out: too many.
    ack_skipped_syn_recv, "TcpExtTCPACKSkippedSynRecv";
    /// ACKs of what PAWS refused left out: too many.
    ack_skipped_paws, "TcpExtTCPACKSkippedPAWS";
    /// ACKs of what lies out of the window left out: too many.
    ack_skipped_seq, "TcpExtTCPACKSkippedSeq";
    /// The same for an orphan in FIN-WAIT-2.
    ack_skipped_fin_wait_2, "TcpExtTCPACKSkippedFinWait2";
    /// The same in TIME-WAIT.
    ack_skipped_time_wait, "TcpExtTCPACKSkippedTimeWait";
    /// Challenge ACKs left out: too many.
    ack_skipped_challenge, "TcpExtTCPACKSkippedChallenge";
    /// Answers to our SYN whose timestamp echoes none of ours.
    paws_active, "TcpExtPAWSActive";
    /// Segments dropped by PAWS in an established or a half-open connection.
    paws_estab, "TcpExtPAWSEstab";
    /// Segments dropped by PAWS in TIME-WAIT.
    paws_time_wait, "TcpExtPAWSTimewait";
    /// Final ACKs of handshakes that echo a timestamp which no SYN-ACK of ours had.
    ts_ecr_rejected, "TcpExtTSEcrRejected";
    /// ACKs dropped by PAWS that a later one overtook.
    paws_old_ack, "TcpExtPAWSOldAck";
    /// Segments that lie beyond the window, in whole or in part.
    beyond_window, "TcpExtBeyondWindow";
    /// Segments dropped because the window was closed.
    zero_window_drop, "TcpExtTCPZeroWindowDrop";
    /// Connections that passed into TIME-WAIT.
    time_wait, "TcpExtTW";
    /// TIME-WAIT records not made because there are too many.
    time_wait_overflow, "TcpExtTCPTimeWaitOverflow";
    /// TIME-WAIT records ended because a connect uses their four numbers.
    time_wait_recycled, "TcpExtTWRecycled";
    /// TIME-WAIT records ended by a reset, where `tcp_rfc1337` is off.
    time_wait_reset, "TowpathTimeWaitReset";
    /// Connections that no application held any more, reset because there are too many or memory is
    /// used up.
    abort_on_memory, "TcpExtTCPAbortOnMemory";
    /// How often the stack came under memory pressure.
    memory_pressures, "TcpExtTCPMemoryPressures";
    /// How often a connection gave up out-of-order data for lack of memory, or tried to.
    prune_called, "TcpExtPruneCalled";
    /// How often out-of-order data was given up for lack of memory.
    ofo_pruned, "TcpExtOfoPruned";
    /// Segments dropped for lack of memory.
    rcv_pruned, "TcpExtRcvPruned";
    /// Segments in order dropped for lack of memory.
    rcv_q_drop, "TcpExtTCPRcvQDrop";
    /// Segments queued out of order.
    ofo_queued, "TcpExtTCPOFOQueue";
    /// Out-of-order segments dropped because a limit is reached.
    ofo_dropped, "TcpExtTCPOFODrop";
    /// D-SACKs sent.
    dsack_sent, "TcpExtTCPDSACKOldSent";
    /// Delayed ACKs sent.
    delayed_acks, "TcpExtDelayedACKs";
    /// Zero-window probes sent.
    win_probes, "TcpExtTCPWinProbe";
    /// Keep-alive probes sent.
    keep_alives, "TcpExtTCPKeepAlive";
    /// Connections closed with unread data: reset.
    abort_on_close, "TcpExtTCPAbortOnClose";
    /// Connections whose closed socket got data: reset.
    abort_on_data, "TcpExtTCPAbortOnData";
    /// Connections whose closed socket was not to wait for the peer's FIN: reset.
    abort_on_linger, "TcpExtTCPAbortOnLinger";
    /// Connections given up after too many time-outs.
    abort_on_timeout, "TcpExtTCPAbortOnTimeout";
    /// Connections whose socket was closed, and which ended before all that was written was
    /// acknowledged.
    orphans_failed, "TowpathOrphansFailed";
    /// Echo requests answered.
    echo_replies, "IcmpOutEchoReps";
    /// Echo requests not answered: too many a second.
    echo_limited, "TowpathEchoLimited";
    /// ICMP errors sent: port or (IPv4) protocol unreachable.
    icmp_out_dest_unreachs, "IcmpOutDestUnreachs";
    /// ICMP errors sent: parameter problem.
    icmp_out_parm_probs, "IcmpOutParmProbs";
    /// ICMP errors not sent: too many to one host.
    icmp_rate_limit_host, "IcmpOutRateLimitHost";
    /// ICMP errors not sent: too many in all.
    icmp_rate_limit_global, "IcmpOutRateLimitGlobal";
    /// ICMP errors that arrived.
    icmp_in, "IcmpInMsgs";
    /// ICMP errors about a connection that there is not.
    icmp_no_socket, "TowpathIcmpNoSocket";
    /// ICMP errors about a segment that is not outstanding.
    out_of_window_icmps, "TcpExtOutOfWindowIcmps";
    /// Dropped: neither a connection nor a listener, and no reset is due.
    drop_no_socket, "TowpathDropNoSocket";
    /// Dropped: the destination is not an address of this stack.
    drop_not_ours, "TowpathDropNotOurs";
    /// Dropped: a source that no packet may have.
    drop_martian, "TowpathDropMartian";
    /// Dropped: a multicast or broadcast destination.
    drop_not_unicast, "TowpathDropNotUnicast";
    /// Dropped: flags that no rule accepts.
    drop_flags, "TowpathDropFlags";
    /// Dropped: out of the receive window.
    drop_out_of_window, "TowpathDropOutOfWindow";
    /// Dropped: an acknowledgment of what was never sent, or far too old.
    drop_bad_ack, "TowpathDropBadAck";
    /// Dropped: data beyond what the receive buffer takes.
    drop_no_buffer, "TowpathDropNoBuffer";
    /// Dropped: a limit of the stack is reached.
    drop_limit, "TowpathDropLimit";
    /// Dropped: the stack's loopback queue is full.
    drop_loopback_full, "TowpathDropLoopbackFull";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_a_name_of_its_own() {
        let mut names: Vec<_> = Counters::default().iter().map(|(name, _)| name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
