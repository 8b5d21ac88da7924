#pragma once

#include <cstdint>
#include <vector>

#include "backend/vsock/vsock_backend.h"
#include "spec/virtio/vsock.h"

namespace mynah {

// One stream between a port of the guest and one of the host, and its flow control
// [virtio-1.2 5.10.6.3]: counters are modulo 2^32.
struct VsockConnection {
    static constexpr uint32_t kBuffer = 256 * 1024;  // what the guest may have under way to us

    uint32_t host_port = 0, guest_port = 0;
    VsockStream stream = 0;
    bool open = false;  // the guest has accepted, or asked itself

    // Host to guest.
    uint32_t guest_buffer = 0, guest_forwarded = 0;  // as the guest said last
    uint32_t sent = 0;
    bool may_read = true;      // the stream may have something
    bool host_ended = false;   // it has ended
    uint32_t told = 0;         // of its end: the flags of the last shutdown
    bool guest_takes = true;   // the guest did not shut down receiving

    // Guest to host.
    uint32_t forwarded = 0, told_forwarded = 0;
    std::vector<std::byte> waiting;  // taken from the guest and not yet by the host
    bool guest_sends = true;         // the guest did not shut down sending
    bool host_takes = true;
    bool gone = false;  // the host's program is no more

    // What the guest is to be told.
    bool due_request = false, due_response = false, due_credit = false, due_reset = false;
    bool listed = false;  // it is among those that have something to send

    // What the guest is to know of the stream's end: flags of a shutdown.
    uint32_t shutdown() const {
        using namespace virtio::vsock;
        if (!host_ended) return 0;
        return gone || !host_takes ? kNeither : kNoSend;
    }

    // How many bytes the guest has room for now. A guest that says nonsense gets none.
    uint32_t credit() const {
        const uint32_t under_way = sent - guest_forwarded;
        return under_way < guest_buffer ? guest_buffer - under_way : 0;
    }
};

}  // namespace mynah
