#include <algorithm>

#include "paravirt/virtio/vsock/virtio_vsock.h"

// What the guest sends: connections it asks for, their data and their end.
namespace mynah {

using namespace virtio::vsock;

void VirtioVsock::take_packets(VirtioQueue& queue) {
    VirtioQueue::Batch batch = queue.open_batch();
    DescriptorChain chain;
    std::vector<virtio::UsedElement> done;
    while (queue.take(batch, chain)) {
        Header header{};
        if (chain.readable.take_front(std::as_writable_bytes(std::span(&header, 1))))
            packet(header, chain.readable);
        done.push_back({chain.head, 0});
    }
    queue.give_back_all(done);
}

void VirtioVsock::packet(const Header& header, SliceList& data) {
    // A guest that speaks as somebody else, or to nobody, gets no answer [virtio-1.2 5.10.6.4.1].
    if (header.source_cid != cid_ || header.destination_cid != kHostCid) return;
    const Key key{header.destination_port, header.source_port};
    const auto found = connections_.find(key);
    if (header.type != kTypeStream || header.length > data.size()) {
        if (found != connections_.end()) drop(key);
        return reject(header);
    }
    if (found == connections_.end()) {
        if (header.operation == kRequest) return open_connection(header);
        return reject(header);
    }
    connection_packet(*found->second, header, data);
}

// An answer to a reset would be answered again.
void VirtioVsock::reject(const Header& header) {
    if (header.operation == kReset || resets_.size() >= kMaxResets) return;
    resets_.push_back({header.destination_port, header.source_port});
}

void VirtioVsock::open_connection(const Header& header) {
    if (connections_.size() >= kMaxConnections) return reject(header);
    const VsockStream stream = backend_.connect(header.destination_port);
    if (stream == 0) return reject(header);
    Connection& connection = *add({header.destination_port, header.source_port}, stream);
    connection.guest_buffer = header.buffer_size;
    connection.guest_forwarded = header.forwarded;
    connection.open = connection.due_response = true;
    list(connection);
}

void VirtioVsock::connection_packet(Connection& connection, const Header& header,
                                    SliceList& bytes) {
    connection.guest_buffer = header.buffer_size;
    connection.guest_forwarded = header.forwarded;
    switch (header.operation) {
        case kResponse:
            if (connection.open) {
                connection.due_reset = true;
                break;
            }
            connection.open = true;
            backend_.accept(connection.stream, connection.host_port);
            break;
        case kReset:
            return drop({connection.host_port, connection.guest_port});
        case kShutdown:
            shut_down(connection, header.flags);
            break;
        case kData: {
            SliceList tail;
            (void)bytes.take_back(bytes.size() - header.length, tail);
            data(connection, bytes);
            break;
        }
        case kCreditRequest:
            connection.due_credit = true;
            break;
        case kCreditUpdate:
            break;
        default:  // a second request among them
            connection.due_reset = true;
    }
    list(connection);
}

void VirtioVsock::data(Connection& connection, const SliceList& bytes) {
    // More than it was told there is room for, or after it said there would be no more.
    if (!connection.open || !connection.guest_sends ||
        bytes.size() > Connection::kBuffer - connection.waiting.size()) {
        connection.due_reset = true;
        return;
    }
    for (Slice slice : bytes.slices()) {
        if (connection.waiting.empty() && connection.host_takes) {
            const auto taken = backend_.write(connection.stream, slice);
            connection.forwarded += static_cast<uint32_t>(taken.bytes);
            connection.host_takes = !taken.ended;
            slice = slice.subspan(taken.bytes);
        }
        connection.waiting.insert(connection.waiting.end(), slice.begin(), slice.end());
    }
    after_pass_on(connection);
}

// The host takes more again.
void VirtioVsock::pass_on(Connection& connection) {
    if (!connection.waiting.empty() && connection.host_takes) {
        const auto taken = backend_.write(connection.stream, connection.waiting);
        connection.forwarded += static_cast<uint32_t>(taken.bytes);
        connection.host_takes = !taken.ended;
        connection.waiting.erase(connection.waiting.begin(),
                                 connection.waiting.begin() + static_cast<ptrdiff_t>(taken.bytes));
    }
    after_pass_on(connection);
}

void VirtioVsock::after_pass_on(Connection& connection) {
    if (!connection.host_takes) {
        // Nobody will read the rest: the guest hears that writing is in vain.
        connection.forwarded += static_cast<uint32_t>(connection.waiting.size());
        connection.waiting.clear();
        connection.due_reset |= connection.guest_sends;
    }
    // Half the room is free again that the guest does not know of.
    if (connection.forwarded - connection.told_forwarded >= Connection::kBuffer / 2)
        connection.due_credit = true;
    if (connection.guest_sends || !connection.waiting.empty()) return;
    if (connection.guest_takes) {
        backend_.end_output(connection.stream);
    } else {
        connection.due_reset = true;  // both are done [virtio-1.2 5.10.6.5]
    }
}

void VirtioVsock::shut_down(Connection& connection, uint32_t flags) {
    if ((flags & kNoReceive) != 0) connection.guest_takes = false;
    if ((flags & kNoSend) != 0) connection.guest_sends = false;
    after_pass_on(connection);
}

}  // namespace mynah
