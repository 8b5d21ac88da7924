#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "memory/slice_list.h"

namespace mynah {

// What is left to do on a frame, or was done already, as struct virtio_net_hdr says it
// [virtio-1.2 5.1.6].
struct FrameOffload {
    enum class Segmentation : uint8_t { kNone, kTcp4, kTcp6, kUdp };

    // The Internet checksum over the bytes from checksum_start to the end is to be put at
    // checksum_start + checksum_offset, where a sum over the pseudo-header stands to begin with.
    bool needs_checksum = false;
    bool checksum_good = false;  // somebody has verified the transport checksum
    uint16_t checksum_start = 0;
    uint16_t checksum_offset = 0;
    // A TCP packet longer than a frame may be: to be cut into segments with at most segment_size
    // bytes of payload each; or UDP's payload, to be cut into datagrams of so many bytes, over
    // either IP. needs_checksum is set as well.
    Segmentation segmentation = Segmentation::kNone;
    bool ecn = false;           // CWR only in the first segment
    uint16_t segment_size = 0;  // bytes
};

// One Ethernet frame without preamble and check sequence, its bytes in pieces. The pieces are valid
// during the call they are passed to; where they are guest memory they can change at any moment.
struct NetworkFrame {
    std::span<const Slice> pieces;
    size_t size = 0;  // bytes in all
    FrameOffload offload;
};

// Which kinds of FrameOffload somebody takes. Without `checksum` the others mean nothing.
struct NetworkOffloads {
    bool checksum = false;
    bool tcp4 = false;
    bool tcp6 = false;
    bool udp = false;  // over both
};

// The card, as its back end sees it. Called on any thread with no lock held by the backend, but
// for receive() not by two threads at once; also from within transmit() on the same thread.
class NetworkSink {
  public:
    virtual ~NetworkSink() = default;
    // Frames for the card, oldest first. Returns how many it took (a frame it does not want counts
    // as taken); the backend keeps the others until NetworkBackend::receive_ready().
    virtual size_t receive(std::span<const NetworkFrame> frames) = 0;
    // transmit() took less than it was given, and it is worth trying again.
    virtual void transmit_ready() = 0;
    virtual void link_changed(bool up) = 0;
};

// The host side of a network card: where its frames go and come from. Every function from any
// thread; none of them waits for the network. A lock of the caller's that the sink takes as well
// must not be held.
//
// Who validates what: frames are at least ethernet::kHeaderSize and at most kMaxSuperFrame bytes
// long; checksum and segmentation are only asked for if transmit_offloads() has them. Everything
// else is the guest's word: a backend that looks into a frame checks what it finds.
class NetworkBackend {
  public:
    virtual ~NetworkBackend() = default;
    // Who receives from now on; null for nobody: frames are dropped. When it returns, the former
    // sink is no longer called; so not from within a call of the sink.
    virtual void set_sink(NetworkSink* sink) = 0;

    // What transmit() takes beside complete frames; constant.
    virtual NetworkOffloads transmit_offloads() const = 0;
    // What the sink takes beside complete frames; nothing to begin with.
    virtual void set_receive_offloads(NetworkOffloads offloads) = 0;

    // Returns how many frames were taken, from the first on; those on which the host gave up count.
    // If not all, then transmit_ready() is called later.
    virtual size_t transmit(std::span<const NetworkFrame> frames) = 0;
    // The sink took less than it was given, and can take more now. Also from within receive().
    virtual void receive_ready() = 0;
    virtual bool link_up() const = 0;
    // Takes in at once what has come from the host's side, if anything, instead of leaving it to a
    // thread that is still to wake up. For processors that have nothing else to do.
    virtual void look() {}
};

}  // namespace mynah
