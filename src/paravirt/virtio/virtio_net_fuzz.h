#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "backend/network/ethernet.h"
#include "backend/network/net_header.h"
#include "base/check.h"
#include "paravirt/virtio/virtio_mmio.h"
#include "paravirt/virtio/virtio_net.h"
#include "spec/virtio/mmio_registers.h"
#include "testing/byte_feed.h"
#include "testing/packet_builder.h"
#include "testing/recording_line.h"
#include "testing/scripted_network_backend.h"
#include "testing/virtio_driver.h"

namespace mynah {

// A driver whose rings are right and whose packets, buffers and commands are anything, on a network
// that is full at times and delivers anything. What is sent must be what the driver wrote; what is
// stored must be what was delivered.
class VirtioNetFuzzBoard {
  public:
    static constexpr uint64_t kRam = 0x400000;
    static constexpr MacAddress kMac{{0x52, 0x54, 0, 1, 2, 3}};

    void run(testing::ByteFeed& feed) {
        using namespace virtio::net;
        backend_.set_transmit_offloads({true, true, true});
        const uint64_t features = virtio::kFeatureVersion1 | virtio::kFeatureIndirectDesc |
                                  (feed.take<uint8_t>() & 1) * virtio::kFeatureEventIdx |
                                  (net_.features() & feed.take<uint32_t>());
        CHECK(driver_.negotiate(features));
        rx_.emplace(driver_.make_queue(kReceiveQueue, 64));
        tx_.emplace(driver_.make_queue(kTransmitQueue, 64));
        control_.emplace(driver_.make_queue(kControlQueue, 64));
        driver_.driver_ok();
        for (int steps = 0; steps < 200 && !feed.empty(); ++steps) step(feed);
        driver_.write(virtio::mmio::kStatus, 0);
        CHECK(!backend_.has_sink());
    }

  private:
    void step(testing::ByteFeed& feed) {
        switch (feed.take<uint8_t>() % 6) {
            case 0:
                send(feed);
                break;
            case 1:
                add_buffer(feed);
                break;
            case 2:
                deliver(feed);
                break;
            case 3:
                command(feed);
                break;
            case 4:
                backend_.set_room(feed.take<uint8_t>() % 8);
                backend_.make_ready();
                break;
            case 5:
                backend_.set_link((feed.take<uint8_t>() & 1) != 0);
                break;
        }
        for (const testing::CapturedFrame& frame : backend_.take_sent()) {
            CHECK(frame.bytes.size() >= ethernet::kHeaderSize);
            CHECK(frame.bytes.size() <= ethernet::kMaxSuperFrame);
            CHECK(frame.bytes[0] == std::byte{0x7e} && frame.bytes.back() == std::byte{0x7e});
        }
        check_received();
        CHECK((driver_.status() & virtio::kStatusNeedsReset) == 0);
    }

    // No more than this is ever out, and the allocator never takes anything back.
    bool may_add(testing::GuestQueue& queue, unsigned& added) {
        while (queue.take_used()) --added;
        return added < 24 && total_ < 0x300000;
    }

    void send(testing::ByteFeed& feed) {
        if (!may_add(*tx_, tx_out_)) return;
        const uint32_t size = 1 + feed.take<uint16_t>() % 3000;
        const GuestPhys place = take(size + sizeof(NetHeader));
        CHECK(memory_->fill(place, std::byte{0x7e}, size));
        // A header of the feed's, or none of sense.
        std::array<uint8_t, 12> header{};
        const auto given = feed.take_bytes((feed.take<uint8_t>() & 1) != 0 ? 12 : 0);
        std::copy(given.begin(), given.end(), header.begin());
        CHECK(memory_->write(
            place, std::as_bytes(std::span(header).first(std::min<size_t>(size, header.size())))));
        const uint32_t first = feed.take<uint8_t>() % size;
        std::vector<testing::GuestBuffer> buffers;
        if (first > 0) buffers.push_back({place, first, false});
        buffers.push_back({place + first, size - first, false});
        tx_->add(buffers, (feed.take<uint8_t>() & 1) != 0);
        ++tx_out_;
        driver_.announce(virtio::net::kTransmitQueue, *tx_);
    }

    void add_buffer(testing::ByteFeed& feed) {
        if (rx_out_ >= 24 || total_ >= 0x300000) return;
        const uint32_t size = 1 + feed.take<uint16_t>() % 4000;
        const GuestPhys place = take(size);
        const testing::GuestBuffer buffer{place, size, true};
        const uint16_t head = rx_->add({&buffer, 1});
        buffers_[head] = {place, size};
        ++rx_out_;
        driver_.announce(virtio::net::kReceiveQueue, *rx_);
    }

    void deliver(testing::ByteFeed& feed) {
        const size_t size = ethernet::kHeaderSize + feed.take<uint16_t>() % 5000;
        FrameOffload offload;
        const auto header = feed.take<NetHeader>();
        if (!from_net_header(header, size, offload)) offload = {};
        (void)backend_.deliver(std::vector<std::byte>(size, std::byte{0x7e}), offload);
    }

    void check_received() {
        unsigned more = 0;
        while (const auto used = rx_->take_used()) {
            CHECK(used->id < buffers_.size());
            const Buffer& buffer = buffers_[used->id];
            CHECK(used->length <= buffer.size);
            --rx_out_;
            if (more > 0) {
                --more;
            } else if (used->length >= virtio::net::kHeaderSize) {
                // All buffers of a packet are there at once.
                more = memory_->load<uint16_t>(buffer.place + virtio::net::kNumBuffers).value();
                CHECK(more >= 1);
                --more;
            } else {
                split_header_ = true;  // its count of buffers lies across two of them
                return;
            }
        }
        CHECK(more == 0 || split_header_);
    }

    void command(testing::ByteFeed& feed) {
        if (!may_add(*control_, control_out_)) return;
        const auto bytes = feed.take_bytes(feed.take<uint8_t>() % 64);
        const GuestPhys place = take(bytes.size() + 16), answer = take(1);
        CHECK(memory_->write(place, std::as_bytes(bytes)));
        std::vector<testing::GuestBuffer> buffers;
        if (!bytes.empty()) buffers.push_back({place, static_cast<uint32_t>(bytes.size()), false});
        buffers.push_back({answer, 1, true});
        control_->add(buffers);
        ++control_out_;
        driver_.announce(virtio::net::kControlQueue, *control_);
        CHECK(memory_->load<uint8_t>(answer).value() <= virtio::net::kError);
    }

    GuestPhys take(uint64_t size) {
        total_ += size + 16;
        return driver_.allocator().take(size);
    }

    struct Buffer {
        GuestPhys place;
        uint32_t size = 0;
    };
    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, kRam};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_};
    testing::RecordingLine line_;
    testing::ScriptedNetworkBackend backend_;
    VirtioNet net_{backend_, {kMac, 1500}};
    VirtioMmio mmio_{net_, view_, line_};
    testing::VirtioDriver driver_{mmio_, *memory_, GuestPhys{0x1000}};
    std::optional<testing::GuestQueue> rx_, tx_, control_;
    std::array<Buffer, 64> buffers_;
    unsigned tx_out_ = 0, rx_out_ = 0, control_out_ = 0;
    uint64_t total_ = 0;
    bool split_header_ = false;
};

}  // namespace mynah
