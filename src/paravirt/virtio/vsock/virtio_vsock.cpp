#include "paravirt/virtio/vsock/virtio_vsock.h"

#include <algorithm>
#include <cstring>

#include "paravirt/virtio/config_bytes.h"
#include "spec/virtio/device.h"

namespace mynah {

using namespace virtio::vsock;

VirtioVsock::VirtioVsock(VsockBackend& backend, uint64_t cid) : backend_(backend), cid_(cid) {
    VsockEvents& events = *this;
    backend_.set_events(&events);
}

VirtioVsock::~VirtioVsock() { backend_.set_events(nullptr); }

uint32_t VirtioVsock::device_id() const { return virtio::kDeviceVsock; }

void VirtioVsock::read_config(uint64_t offset, std::span<std::byte> to) const {
    read_config_bytes(cid_, offset, to);
}

void VirtioVsock::serve(VirtioQueue& queue) {
    MutexLock lock(mutex_);
    if (queue.index() == kReceiveQueue) receive_queue_ = &queue;
    if (queue.index() == kTransmitQueue) take_packets(queue);
    send_packets();
}

void VirtioVsock::reset() {
    MutexLock lock(mutex_);
    receive_queue_ = nullptr;
    for (const auto& [key, connection] : connections_) backend_.close(connection->stream);
    connections_.clear();
    by_stream_.clear();
    listed_.clear();
    resets_.clear();
}

// --- Connections.

VirtioVsock::Connection* VirtioVsock::add(Key key, VsockStream stream) {
    auto made = std::make_unique<Connection>();
    made->host_port = key.first;
    made->guest_port = key.second;
    made->stream = stream;
    Connection* const connection = made.get();
    connections_.emplace(key, std::move(made));
    by_stream_.emplace(stream, connection);
    return connection;
}

void VirtioVsock::drop(Key key) {
    const auto found = connections_.find(key);
    if (found == connections_.end()) return;
    backend_.close(found->second->stream);
    if (found->second->listed) std::erase(listed_, key);
    by_stream_.erase(found->second->stream);
    connections_.erase(found);
}

void VirtioVsock::list(Connection& connection) {
    if (connection.listed || !has_something(connection)) return;
    connection.listed = true;
    listed_.push_back({connection.host_port, connection.guest_port});
}

// --- What the backend tells.

void VirtioVsock::incoming(VsockStream stream, uint32_t guest_port) {
    MutexLock lock(mutex_);
    if (receive_queue_ == nullptr || connections_.size() >= kMaxConnections) {
        backend_.close(stream);
        return;
    }
    Key key{0, guest_port};
    do {
        key.first = next_port_;
        next_port_ = next_port_ == ~0u - 1 ? kFirstHostPort : next_port_ + 1;
    } while (connections_.contains(key));
    Connection& connection = *add(key, stream);
    connection.due_request = true;
    list(connection);
    send_packets();
}

void VirtioVsock::ready(VsockStream stream, bool gone) {
    MutexLock lock(mutex_);
    const auto found = by_stream_.find(stream);
    if (found == by_stream_.end()) return;
    Connection& connection = *found->second;
    connection.may_read = true;
    connection.gone |= gone;
    if (gone && !connection.open) {
        // The guest has not answered, and need not any more; it may not even have heard of it.
        if (connection.due_request) return drop({connection.host_port, connection.guest_port});
        connection.due_reset = true;
    }
    pass_on(connection);
    list(connection);
    send_packets();
}

// --- Host to guest.

// Every packet tells how much room the guest has.
void VirtioVsock::write_header(Connection& connection, Header header, DescriptorChain& chain) {
    header.source_cid = kHostCid;
    header.destination_cid = cid_;
    header.source_port = connection.host_port;
    header.destination_port = connection.guest_port;
    header.type = kTypeStream;
    header.buffer_size = Connection::kBuffer;
    header.forwarded = connection.forwarded;
    connection.told_forwarded = connection.forwarded;
    connection.due_credit = false;
    chain.writable.fill(std::as_bytes(std::span(&header, 1)));
    receive_queue_->wrote(chain.writable);
    used_.push_back({chain.head, static_cast<uint32_t>(sizeof header + header.length)});
}

bool VirtioVsock::has_something(const Connection& connection) const {
    if (connection.due_request || connection.due_response || connection.due_credit ||
        connection.due_reset) {
        return true;
    }
    if (!connection.open) return false;
    if (connection.host_ended) return connection.shutdown() != connection.told;
    return connection.guest_takes && connection.may_read && connection.credit() > 0;
}

// One packet of each connection in turns, as long as the guest has buffers. All that is used here
// the driver sees at once.
void VirtioVsock::send_packets() {
    if (receive_queue_ == nullptr || (listed_.empty() && resets_.empty())) return;
    VirtioQueue& queue = *receive_queue_;
    VirtioQueue::Batch batch = queue.open_batch();
    bool room = send_resets(batch);
    while (room && !listed_.empty()) {
        const Key key = listed_.front();
        const auto found = connections_.find(key);
        if (found == connections_.end()) {
            listed_.pop_front();
            continue;
        }
        Connection& connection = *found->second;
        room = send_one(connection, batch);
        if (!room) break;
        listed_.pop_front();
        connection.listed = false;
        if (connection.due_reset) {
            drop(key);
        } else {
            list(connection);
        }
    }
    queue.give_back_all(used_);
    used_.clear();
}

bool VirtioVsock::send_resets(VirtioQueue::Batch& batch) {
    while (!resets_.empty()) {
        Connection nobody;
        nobody.host_port = resets_.front().first;
        nobody.guest_port = resets_.front().second;
        if (!put(nobody, kReset, batch)) return false;
        resets_.pop_front();
    }
    return true;
}

bool VirtioVsock::send_one(Connection& connection, VirtioQueue::Batch& batch) {
    if (connection.due_reset) return put(connection, kReset, batch);
    if (connection.due_request || connection.due_response) {
        const uint16_t operation = connection.due_request ? kRequest : kResponse;
        if (!put(connection, operation, batch)) return false;
        connection.due_request = connection.due_response = false;
        return true;
    }
    if (connection.open && connection.guest_takes && connection.may_read &&
        !connection.host_ended && connection.credit() > 0) {
        return send_data(connection, batch);
    }
    if (connection.open && connection.shutdown() != connection.told) {
        const uint32_t flags = connection.shutdown();
        if (!put(connection, kShutdown, batch, flags)) return false;
        connection.told = flags;
        return true;
    }
    if (!connection.due_credit) return true;
    return put(connection, kCreditUpdate, batch);
}

bool VirtioVsock::send_data(Connection& connection, VirtioQueue::Batch& batch) {
    DescriptorChain chain;
    if (!take_buffer(batch, chain)) return false;
    // The data goes behind the header, where the stream puts it itself.
    std::vector<Slice> places;
    uint64_t skip = sizeof(Header), room = connection.credit();
    for (Slice slice : chain.writable.slices()) {
        const uint64_t part = std::min<uint64_t>(skip, slice.size());
        skip -= part;
        slice = slice.subspan(part);
        slice = slice.first(std::min<uint64_t>(slice.size(), room));
        room -= slice.size();
        if (!slice.empty()) places.push_back(slice);
    }
    const VsockBackend::Transfer got =
        places.empty() ? VsockBackend::Transfer{} : backend_.read(connection.stream, places);
    if (got.bytes == 0) {
        receive_queue_->put_back(batch, 1);
        connection.may_read = false;
        connection.host_ended |= got.ended;
        return true;
    }
    Header header{};
    header.operation = kData;
    header.length = static_cast<uint32_t>(got.bytes);
    connection.sent += header.length;
    write_header(connection, header, chain);
    return true;
}

bool VirtioVsock::put(Connection& connection, uint16_t operation, VirtioQueue::Batch& batch,
                      uint32_t flags) {
    DescriptorChain chain;
    if (!take_buffer(batch, chain)) return false;
    Header header{};
    header.operation = operation;
    header.flags = flags;
    write_header(connection, header, chain);
    return true;
}

// A buffer has room for a header at least [virtio-1.2 5.10.6.2]; any other is given back empty.
bool VirtioVsock::take_buffer(VirtioQueue::Batch& batch, DescriptorChain& chain) {
    while (receive_queue_->take(batch, chain)) {
        if (chain.writable.size() >= sizeof(Header)) return true;
        used_.push_back({chain.head, 0});
    }
    return false;
}

}  // namespace mynah
