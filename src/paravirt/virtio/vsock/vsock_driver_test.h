#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "paravirt/virtio/virtio_mmio.h"
#include "paravirt/virtio/vsock/virtio_vsock.h"
#include "spec/virtio/device.h"
#include "testing/recording_line.h"
#include "testing/virtio_driver.h"

namespace mynah::testing {

// The host's programs, played by the test. Single-threaded.
class ScriptedVsock final : public VsockBackend {
  public:
    struct Peer {
        std::string to_guest, from_guest;
        size_t room = ~size_t{0};  // bytes it takes before it is full
        bool ended = false, output_ended = false, closed = false;
        uint32_t accepted = 0;
    };
    void set_events(VsockEvents* events) override { events_ = events; }
    VsockStream connect(uint32_t port) override { return port == served ? open() : 0; }
    void accept(VsockStream stream, uint32_t host_port) override {
        peers[stream].accepted = host_port;
    }
    Transfer read(VsockStream stream, std::span<const std::span<std::byte>> to) override {
        Peer& peer = peers[stream];
        size_t done = 0;
        for (const auto& place : to) {
            const size_t part = std::min(place.size(), peer.to_guest.size() - done);
            if (part > 0) std::memcpy(place.data(), peer.to_guest.data() + done, part);
            done += part;
        }
        peer.to_guest.erase(0, done);
        return {done, done == 0 && peer.ended};
    }
    Transfer write(VsockStream stream, std::span<const std::byte> from) override {
        Peer& peer = peers[stream];
        const size_t part = std::min(from.size(), peer.room);
        peer.room -= part;
        peer.from_guest.append(reinterpret_cast<const char*>(from.data()), part);
        return {part, false};
    }
    void end_output(VsockStream stream) override { peers[stream].output_ended = true; }
    void close(VsockStream stream) override { peers[stream].closed = true; }

    VsockStream open() {
        peers[++last];
        return last;
    }
    void ask(uint32_t guest_port) { events_->incoming(open(), guest_port); }
    void ready(VsockStream stream, bool gone = false) { events_->ready(stream, gone); }

    uint32_t served = 80;
    VsockStream last = 0;
    std::map<VsockStream, Peer> peers;

  private:
    VsockEvents* events_ = nullptr;
};

// A driver of the socket device, on the MMIO transport.
class VsockGuest {
  public:
    using Header = virtio::vsock::Header;
    static constexpr uint64_t kCid = 7;
    static constexpr uint32_t kBufferSize = 4096;

    VsockGuest() {
        CHECK(driver_.negotiate(virtio::kFeatureVersion1 | virtio::vsock::kFeatureStream));
        for (uint16_t i = 0; i < 3; ++i) queues_.push_back(driver_.make_queue(i, 64));
        driver_.driver_ok();
    }

    void offer(unsigned count, uint32_t size = kBufferSize) {
        for (unsigned i = 0; i < count; ++i) {
            const GuestPhys place = driver_.allocator().take(size);
            const GuestBuffer buffer{place, size, true};
            places_[queues_[0].add({&buffer, 1})] = place;
        }
        driver_.announce(0, queues_[0]);
    }
    struct Packet {
        Header header;
        std::string data;
    };
    std::optional<Packet> received() {
        const auto used = queues_[0].take_used();
        if (!used) return std::nullopt;
        Packet packet{};
        CHECK(used->length >= sizeof packet.header);
        const GuestPhys place = places_.at(used->id);
        packet.header = memory_->load<Header>(place).value();
        CHECK(used->length == sizeof packet.header + packet.header.length);
        packet.data.resize(packet.header.length);
        CHECK(memory_->read(place + sizeof packet.header,
                            std::as_writable_bytes(std::span(packet.data))));
        return packet;
    }
    static Header header(uint16_t operation, uint32_t guest_port, uint32_t host_port) {
        Header out{};
        out.source_cid = kCid;
        out.destination_cid = virtio::vsock::kHostCid;
        out.source_port = guest_port;
        out.destination_port = host_port;
        out.type = virtio::vsock::kTypeStream;
        out.operation = operation;
        out.buffer_size = 65536;
        return out;
    }
    void send(Header header, std::string_view data = "") {
        if (header.length == 0) header.length = static_cast<uint32_t>(data.size());
        std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
        bytes += data;
        send_bytes(bytes);
    }
    void send_bytes(std::string_view bytes) {
        const GuestPhys place = driver_.allocator().take(bytes.size());
        CHECK(memory_->write(place, std::as_bytes(std::span(bytes))));
        const GuestBuffer buffer{place, static_cast<uint32_t>(bytes.size()), false};
        queues_[1].add({&buffer, 1});
        driver_.announce(1, queues_[1]);
        CHECK(queues_[1].take_used());
    }

    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, 8 << 20};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_};
    RecordingLine line_;
    ScriptedVsock backend_;
    VirtioVsock device_{backend_, kCid};
    VirtioMmio mmio_{device_, view_, line_};
    VirtioDriver driver_{mmio_, *memory_, GuestPhys{0x1000}};
    std::vector<GuestQueue> queues_;
    std::map<uint32_t, GuestPhys> places_;
};

}  // namespace mynah::testing
