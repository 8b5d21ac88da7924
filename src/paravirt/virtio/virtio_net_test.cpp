#include "paravirt/virtio/virtio_net.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <thread>

#include "backend/network/ethernet.h"
#include "backend/network/net_header.h"
#include "paravirt/virtio/virtio_mmio.h"
#include "spec/virtio/mmio_registers.h"
#include "testing/packet_builder.h"
#include "testing/recording_line.h"
#include "testing/scripted_network_backend.h"
#include "testing/virtio_driver.h"

namespace mynah {
namespace {

using namespace virtio::net;
using namespace testing;

constexpr uint64_t kRam = 8 << 20;
constexpr MacAddress kMac{{0x52, 0x54, 0, 1, 2, 3}}, kPeer{{0x52, 0x54, 0, 4, 5, 6}};
constexpr uint64_t kRings = virtio::kFeatureVersion1 | virtio::kFeatureIndirectDesc;
constexpr uint64_t kUsual = kFeatureMac | kFeatureStatus | kFeatureCtrlVq | kFeatureCtrlRx |
                            kFeatureCtrlVlan | kFeatureCtrlMacAddr | kFeatureCtrlRxExtra |
                            kFeatureMrgRxbuf;

struct Received {
    NetHeader header;
    uint16_t buffers;
    std::vector<std::byte> bytes;
};

class VirtioNetTest : public ::testing::Test {
  protected:
    VirtioNetTest() { backend_.set_transmit_offloads({true, true, true}); }

    void make(VirtioNetOptions options = {kMac, 0}) {
        mmio_.reset();
        device_ = std::make_unique<VirtioNet>(backend_, options);
        mmio_ = std::make_unique<VirtioMmio>(*device_, view_, line_);
        driver_ = std::make_unique<VirtioDriver>(*mmio_, *memory_, GuestPhys{0x1000});
    }
    void begin(uint64_t features = kUsual) {
        if (!device_) make();
        ASSERT_TRUE(driver_->negotiate(kRings | features));
        rx_.emplace(driver_->make_queue(kReceiveQueue));
        tx_.emplace(driver_->make_queue(kTransmitQueue));
        control_.emplace(driver_->make_queue(kControlQueue));
        driver_->driver_ok();
    }

    // --- transmit ---
    void add_packet(std::span<const std::byte> frame, NetHeader header = {}, size_t cut = 0) {
        std::vector<std::byte> bytes(kHeaderSize);
        std::memcpy(bytes.data(), &header, sizeof header);
        bytes.insert(bytes.end(), frame.begin(), frame.end());
        const GuestPhys place = driver_->allocator().take(bytes.size());
        ASSERT_TRUE(memory_->write(place, bytes));
        if (cut == 0) cut = bytes.size();
        std::vector<GuestBuffer> buffers;
        for (size_t at = 0; at < bytes.size(); at += cut) {
            const auto part = static_cast<uint32_t>(std::min(cut, bytes.size() - at));
            buffers.push_back({place + at, part, false});
        }
        tx_->add(buffers, buffers.size() > 1);
    }
    void send(std::span<const std::byte> frame, NetHeader header = {}, size_t cut = 0) {
        add_packet(frame, header, cut);
        driver_->announce(kTransmitQueue, *tx_);
    }

    // --- receive ---
    void add_buffers(unsigned count, uint32_t size) {
        for (unsigned i = 0; i < count; ++i) {
            const GuestPhys place = driver_->allocator().take(size);
            ASSERT_TRUE(memory_->fill(place, std::byte{0xee}, size));
            const GuestBuffer buffer{place, size, true};
            const uint16_t head = rx_->add({&buffer, 1});
            places_[head] = place;
        }
        driver_->announce(kReceiveQueue, *rx_);
    }
    std::optional<Received> take_packet() {
        Received packet{};
        for (unsigned i = 0; i == 0 || i < packet.buffers; ++i) {
            const auto used = rx_->take_used();
            if (!used) return std::nullopt;
            std::vector<std::byte> bytes(used->length);
            EXPECT_TRUE(memory_->read(places_.at(used->id), bytes));
            if (i == 0) {
                EXPECT_GE(bytes.size(), kHeaderSize);
                std::memcpy(&packet.header, bytes.data(), sizeof packet.header);
                std::memcpy(&packet.buffers, bytes.data() + kNumBuffers, 2);
                bytes.erase(bytes.begin(), bytes.begin() + kHeaderSize);
            }
            packet.bytes.insert(packet.bytes.end(), bytes.begin(), bytes.end());
        }
        return packet;
    }

    uint8_t control(uint8_t control_class, uint8_t command, std::vector<uint8_t> data) {
        std::vector<uint8_t> bytes{control_class, command};
        bytes.insert(bytes.end(), data.begin(), data.end());
        const GuestPhys place = driver_->allocator().take(bytes.size());
        EXPECT_TRUE(memory_->write(place, std::as_bytes(std::span(bytes))));
        const GuestPhys answer = driver_->allocator().take(1);
        EXPECT_TRUE(memory_->store<uint8_t>(answer, 0xee));
        const std::array buffers{GuestBuffer{place, static_cast<uint32_t>(bytes.size()), false},
                                 GuestBuffer{answer, 1, true}};
        control_->add(buffers);
        driver_->announce(kControlQueue, *control_);
        EXPECT_TRUE(control_->take_used());
        return memory_->load<uint8_t>(answer).value();
    }
    // Whether a frame reaches the driver.
    bool passes(std::vector<std::byte> frame) {
        add_buffers(1, 2048);
        EXPECT_TRUE(backend_.deliver(std::move(frame)));
        return take_packet().has_value();
    }
    bool passes(const MacAddress& destination) {
        return passes(make_frame(destination, kPeer, 100));
    }

    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, kRam};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_};
    RecordingLine line_;
    ScriptedNetworkBackend backend_;
    std::unique_ptr<VirtioNet> device_;
    std::unique_ptr<VirtioMmio> mmio_;
    std::unique_ptr<VirtioDriver> driver_;
    std::optional<GuestQueue> rx_, tx_, control_;
    std::map<uint32_t, GuestPhys> places_;
};

TEST_F(VirtioNetTest, SaysWhatItIs) {
    make({kMac, 9000});
    EXPECT_EQ(driver_->read(virtio::mmio::kDeviceId), 1u);
    EXPECT_EQ(driver_->config<uint8_t>(0), 0x52);
    EXPECT_EQ(driver_->config<uint8_t>(5), 3);
    EXPECT_EQ(driver_->config<uint16_t>(6), kStatusLinkUp);
    EXPECT_EQ(driver_->config<uint16_t>(8), 1);
    EXPECT_EQ(driver_->config<uint16_t>(10), 9000);
    EXPECT_NE(driver_->device_features() & kFeatureMtu, 0u);
    make();
    EXPECT_EQ(driver_->device_features() & kFeatureMtu, 0u);
    EXPECT_NE(driver_->device_features() & kFeatureHostTso4, 0u);
    backend_.set_transmit_offloads({});
    make();
    EXPECT_EQ(driver_->device_features() & (kFeatureCsum | kFeatureHostTso4 | kFeatureHostTso6),
              0u);
}

// --- Transmit.

TEST_F(VirtioNetTest, SendsHoweverBuffersAreCut) {
    begin();
    const auto frame = make_frame(kPeer, kMac, 300);
    for (const size_t cut : {size_t{0}, size_t{2}, size_t{5}, size_t{12}, size_t{100}}) {
        send(frame, {}, cut);
        const auto sent = backend_.take_sent();
        ASSERT_EQ(sent.size(), 1u) << cut;
        EXPECT_EQ(sent[0].bytes, frame);
        const auto used = tx_->take_used();
        ASSERT_TRUE(used);
        EXPECT_EQ(used->length, 0u);
    }
    EXPECT_TRUE(line_.level());
}

TEST_F(VirtioNetTest, HandsOffloadsOn) {
    begin(kUsual | kFeatureCsum | kFeatureHostTso4);
    const auto frame = make_frame(kPeer, kMac, 5000);
    send(frame, {kNetHeaderNeedsChecksum, kNetGsoTcp4, 54, 1448, 34, 16});
    const auto sent = backend_.take_sent();
    ASSERT_EQ(sent.size(), 1u);
    const FrameOffload& offload = sent[0].offload;
    EXPECT_TRUE(offload.needs_checksum);
    EXPECT_EQ(offload.checksum_start, 34);
    EXPECT_EQ(offload.checksum_offset, 16);
    EXPECT_EQ(offload.segment_size, 1448);
    EXPECT_EQ(offload.segmentation, FrameOffload::Segmentation::kTcp4);
}

TEST_F(VirtioNetTest, HandsUdpSegmentationOn) {
    make();
    EXPECT_EQ(driver_->device_features() & kFeatureHostUso, 0u) << "the backend has none";
    backend_.set_transmit_offloads({true, true, true, true});
    make();
    begin(kUsual | kFeatureCsum | kFeatureHostUso | kFeatureGuestCsum | kFeatureGuestUso4 |
          kFeatureGuestUso6);
    EXPECT_TRUE(backend_.receive_offloads().udp);
    const auto frame = make_frame(kPeer, kMac, 5000);
    const NetHeader header{kNetHeaderNeedsChecksum, kNetGsoUdpL4, 42, 1448, 34, 6};
    send(frame, header);
    const auto sent = backend_.take_sent();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].offload.segmentation, FrameOffload::Segmentation::kUdp);
    EXPECT_EQ(sent[0].offload.segment_size, 1448);
    add_buffers(4, 2048);
    EXPECT_TRUE(backend_.deliver(frame, sent[0].offload));
    const auto packet = take_packet();
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->header.gso_type, kNetGsoUdpL4);
    EXPECT_EQ(packet->header.gso_size, 1448);
    begin(kUsual | kFeatureCsum | kFeatureGuestCsum | kFeatureGuestUso4);
    EXPECT_FALSE(backend_.receive_offloads().udp) << "half of it is nothing";
    send(frame, header);
    EXPECT_TRUE(backend_.take_sent().empty()) << "it was not negotiated";
}

TEST_F(VirtioNetTest, LosesWhatBreaksTheRules) {
    begin(kUsual | kFeatureCsum);
    const auto frame = make_frame(kPeer, kMac, 100);
    send(frame, {kNetHeaderNeedsChecksum, kNetGsoTcp4, 0, 100, 34, 16});  // not negotiated
    send(frame, {kNetHeaderNeedsChecksum, 0, 0, 0, 99, 0});               // beyond the frame
    send(frame, {0, 77, 0, 0, 0, 0});                                     // no such type
    send(std::span(frame).first(13));                                     // no frame
    send({});
    send(make_frame(kPeer, kMac, 70000));
    EXPECT_TRUE(backend_.take_sent().empty());
    for (int i = 0; i < 6; ++i) EXPECT_TRUE(tx_->take_used());  // but they come back
    send(frame);
    EXPECT_EQ(backend_.take_sent().size(), 1u);
    EXPECT_EQ(driver_->status() & virtio::kStatusNeedsReset, 0u);
}

TEST_F(VirtioNetTest, KeepsPacketsInTheRingWhileTheBackendIsFull) {
    begin();
    for (uint8_t i = 0; i < 100; ++i) add_packet(make_frame(kPeer, kMac, 100, i));
    backend_.set_room(10);
    driver_->announce(kTransmitQueue, *tx_);
    EXPECT_EQ(backend_.take_sent().size(), 10u);
    EXPECT_EQ(tx_->used_index(), 10);
    backend_.set_room(70);
    backend_.make_ready();
    EXPECT_EQ(tx_->used_index(), 80);
    backend_.set_room(1000);
    backend_.make_ready();
    EXPECT_EQ(tx_->used_index(), 100);
    const auto sent = backend_.take_sent();
    ASSERT_EQ(sent.size(), 90u);
    for (uint8_t i = 0; i < 90; ++i) {
        EXPECT_EQ(sent[i].bytes, make_frame(kPeer, kMac, 100, static_cast<uint8_t>(i + 10)));
    }
}

// --- Receive.

TEST_F(VirtioNetTest, ReceivesIntoOneBuffer) {
    begin();
    add_buffers(2, 1600);
    const auto frame = make_frame(kMac, kPeer, 1514);
    ASSERT_TRUE(backend_.deliver(frame));
    EXPECT_TRUE(line_.level());
    const auto packet = take_packet();
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->buffers, 1);
    EXPECT_EQ(packet->bytes, frame);
    EXPECT_EQ(packet->header.flags, 0);
}

TEST_F(VirtioNetTest, MergesBuffers) {
    begin();
    add_buffers(20, 500);
    const auto frame = make_frame(kMac, kPeer, 5000);
    ASSERT_TRUE(backend_.deliver(frame));
    const auto packet = take_packet();
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->buffers, 11);
    EXPECT_EQ(packet->bytes, frame);
}

TEST_F(VirtioNetTest, WaitsForBuffers) {
    begin();
    const unsigned before = backend_.receive_ready_calls();
    const auto frame = make_frame(kMac, kPeer, 5000);
    EXPECT_FALSE(backend_.deliver(frame));
    add_buffers(9, 500);  // two too few
    EXPECT_GT(backend_.receive_ready_calls(), before);
    EXPECT_FALSE(backend_.deliver(frame));
    EXPECT_EQ(rx_->used_index(), 0);
    add_buffers(2, 500);
    EXPECT_TRUE(backend_.deliver(frame));
    EXPECT_EQ(take_packet()->bytes, frame);
}

TEST_F(VirtioNetTest, AsksForABellOnlyWhenBuffersHaveRunOut) {
    begin(kUsual | virtio::kFeatureEventIdx);
    add_buffers(4, 2048);
    const auto frame = make_frame(kMac, kPeer, 100);
    ASSERT_TRUE(backend_.deliver(frame));
    const unsigned before = backend_.receive_ready_calls();
    add_buffers(1, 2048);
    EXPECT_EQ(backend_.receive_ready_calls(), before);
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(backend_.deliver(frame));
    EXPECT_FALSE(backend_.deliver(frame));
    add_buffers(1, 2048);
    EXPECT_EQ(backend_.receive_ready_calls(), before + 1);
}

TEST_F(VirtioNetTest, LosesFramesThatDoNotFitABufferIfTheyMayNotBeMerged) {
    begin(kUsual & ~kFeatureMrgRxbuf);
    add_buffers(3, 500);
    EXPECT_TRUE(backend_.deliver(make_frame(kMac, kPeer, 600)));
    EXPECT_EQ(rx_->used_index(), 0);
    const auto frame = make_frame(kMac, kPeer, 488);
    EXPECT_TRUE(backend_.deliver(frame));
    const auto packet = take_packet();
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->buffers, 1);
    EXPECT_EQ(packet->bytes, frame);
}

FrameOffload long_packet_offload() {
    FrameOffload offload;
    offload.needs_checksum = true;
    offload.checksum_start = 34;
    offload.checksum_offset = 16;
    offload.segmentation = FrameOffload::Segmentation::kTcp4;
    offload.segment_size = 1448;
    return offload;
}

TEST_F(VirtioNetTest, PassesOffloadsToADriverThatTakesThem) {
    begin(kUsual | kFeatureGuestCsum | kFeatureGuestTso4 | kFeatureCtrlGuestOffloads);
    EXPECT_TRUE(backend_.receive_offloads().checksum);
    EXPECT_TRUE(backend_.receive_offloads().tcp4);
    EXPECT_FALSE(backend_.receive_offloads().tcp6);
    add_buffers(10, 2048);
    ASSERT_TRUE(backend_.deliver(make_frame(kMac, kPeer, 6000), long_packet_offload()));
    const auto packet = take_packet();
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->header.flags, kNetHeaderNeedsChecksum);
    EXPECT_EQ(packet->header.gso_type, kNetGsoTcp4);
    EXPECT_EQ(packet->header.gso_size, 1448);
    EXPECT_EQ(packet->header.csum_start, 34);

    EXPECT_EQ(control(kClassGuestOffloads, kGuestOffloadsSet, {2, 0, 0, 0, 0, 0, 0, 0}), kOk);
    EXPECT_FALSE(backend_.receive_offloads().tcp4);
    EXPECT_EQ(control(kClassGuestOffloads, kGuestOffloadsSet, {0, 1, 0, 0, 0, 0, 0, 0}),
              virtio::net::kError);
}

TEST_F(VirtioNetTest, CompletesChecksumsForADriverThatCannot) {
    begin();
    TcpPacket packet{kPeer, kMac, 1, 2, 3, 4, 5, 6, 0x10, std::vector<std::byte>(99)};
    const auto good = make_tcp4(packet);
    auto partial = good;
    make_checksum_partial(partial);
    FrameOffload offload = long_packet_offload();
    offload.segmentation = FrameOffload::Segmentation::kNone;
    add_buffers(1, 2048);
    ASSERT_TRUE(backend_.deliver(partial, offload));
    EXPECT_EQ(take_packet()->bytes, good);
}

// --- Filters and control.

TEST_F(VirtioNetTest, FiltersAsTheDriverSays) {
    const MacAddress group{{0x01, 0, 0x5e, 1, 2, 3}}, other{{0x52, 0x54, 0, 9, 9, 9}};
    begin();
    EXPECT_TRUE(passes(other));  // promiscuous until it is told otherwise
    EXPECT_EQ(control(kClassRx, kRxPromiscuous, {0}), kOk);
    EXPECT_TRUE(passes(kMac));
    EXPECT_FALSE(passes(other));
    EXPECT_FALSE(passes(group));
    EXPECT_TRUE(passes(kBroadcastAddress));
    EXPECT_EQ(control(kClassRx, kRxAllMulticast, {1}), kOk);
    EXPECT_TRUE(passes(group));
    EXPECT_EQ(control(kClassRx, kRxNoMulticast, {1}), kOk);
    EXPECT_FALSE(passes(group));
    EXPECT_EQ(control(kClassRx, kRxNoBroadcast, {1}), kOk);
    EXPECT_FALSE(passes(kBroadcastAddress));
    EXPECT_EQ(control(kClassRx, kRxAllUnicast, {1}), kOk);
    EXPECT_TRUE(passes(other));
    EXPECT_EQ(control(kClassRx, 6, {1}), virtio::net::kError);
    EXPECT_EQ(control(kClassRx, kRxPromiscuous, {}), virtio::net::kError);
    EXPECT_EQ(control(99, 0, {1}), virtio::net::kError);
}

TEST_F(VirtioNetTest, KeepsTablesOfAddresses) {
    const MacAddress group{{0x01, 0, 0x5e, 1, 2, 3}}, other{{0x52, 0x54, 0, 9, 9, 9}};
    begin();
    control(kClassRx, kRxPromiscuous, {0});
    EXPECT_EQ(control(kClassMac, kMacTableSet,
                      {1, 0, 0, 0, 0x52, 0x54, 0, 9, 9, 9, 1, 0, 0, 0, 1, 0, 0x5e, 1, 2, 3}),
              kOk);
    EXPECT_TRUE(passes(other));
    EXPECT_TRUE(passes(group));
    // A table that is cut off changes nothing.
    EXPECT_EQ(control(kClassMac, kMacTableSet, {0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0x5e, 1, 2, 3}),
              virtio::net::kError);
    EXPECT_EQ(control(kClassMac, kMacTableSet, {0xff, 0xff, 0xff, 0xff}), virtio::net::kError);
    EXPECT_TRUE(passes(other));
    EXPECT_EQ(control(kClassMac, kMacTableSet, {0, 0, 0, 0, 0, 0, 0, 0}), kOk);
    EXPECT_FALSE(passes(other));
    EXPECT_EQ(control(kClassMac, kMacAddressSet, {0x52, 0x54, 0, 9, 9, 9}), kOk);
    EXPECT_TRUE(passes(other));
    EXPECT_FALSE(passes(kMac));
    EXPECT_EQ(driver_->config<uint8_t>(5), 9);
    // More than the table holds: all multicast frames pass.
    std::vector<uint8_t> many{0, 0, 0, 0, 100, 0, 0, 0};
    many.resize(many.size() + 600, 3);
    EXPECT_EQ(control(kClassMac, kMacTableSet, many), kOk);
    EXPECT_TRUE(passes(group));
}

TEST_F(VirtioNetTest, FiltersVlans) {
    begin();
    auto tagged = make_frame(kMac, kPeer, 100);
    const std::array tag{std::byte{0x81}, std::byte{0x00}, std::byte{0x20}, std::byte{0x21}};
    tagged.insert(tagged.begin() + 12, tag.begin(), tag.end());
    EXPECT_FALSE(passes(tagged));
    EXPECT_EQ(control(kClassVlan, kVlanAdd, {0x21, 0}), kOk);
    EXPECT_TRUE(passes(tagged));
    EXPECT_EQ(control(kClassVlan, kVlanDelete, {0x21, 0}), kOk);
    EXPECT_FALSE(passes(tagged));
    EXPECT_EQ(control(kClassVlan, kVlanAdd, {0, 0x10}), virtio::net::kError);
}

TEST_F(VirtioNetTest, TellsOfTheLinkAndAnnounces) {
    begin(kUsual | kFeatureGuestAnnounce);
    const uint32_t generation = driver_->read(virtio::mmio::kConfigGeneration);
    backend_.set_link(false);
    EXPECT_NE(driver_->read(virtio::mmio::kConfigGeneration), generation);
    EXPECT_EQ(driver_->read(virtio::mmio::kInterruptStatus), 2u);
    EXPECT_EQ(driver_->config<uint16_t>(6), 0);
    backend_.set_link(true);
    device_->announce();
    EXPECT_EQ(driver_->config<uint16_t>(6), kStatusLinkUp | kStatusAnnounce);
    EXPECT_EQ(control(kClassAnnounce, kAnnounceAcknowledge, {}), kOk);
    EXPECT_EQ(driver_->config<uint16_t>(6), kStatusLinkUp);
}

TEST_F(VirtioNetTest, ListensOnlyWhileADriverRunsIt) {
    make();
    EXPECT_FALSE(backend_.has_sink());
    begin();
    EXPECT_TRUE(backend_.has_sink());
    control(kClassRx, kRxPromiscuous, {0});
    driver_->write(virtio::mmio::kStatus, 0);
    EXPECT_FALSE(backend_.has_sink());
    begin();
    EXPECT_TRUE(passes(kPeer));  // the reset made it promiscuous again
    mmio_.reset();
    EXPECT_FALSE(backend_.has_sink());
}

TEST_F(VirtioNetTest, SendsFromSeveralProcessorsAtOnce) {
    begin();
    constexpr uint8_t kPackets = 200;
    for (uint8_t i = 0; i < kPackets; ++i) add_packet(make_frame(kPeer, kMac, 100, i));
    std::vector<std::thread> processors;
    for (int i = 0; i < 4; ++i) {
        processors.emplace_back([this] { driver_->ring(kTransmitQueue); });
    }
    for (std::thread& each : processors) each.join();
    const auto sent = backend_.take_sent();
    ASSERT_EQ(sent.size(), kPackets);
    for (uint8_t i = 0; i < kPackets; ++i) {
        EXPECT_EQ(sent[i].bytes, make_frame(kPeer, kMac, 100, i));
    }
    EXPECT_EQ(tx_->used_index(), kPackets);
}

// Four pairs [virtio-1.2 5.1.6.5.5]: one is used until the driver says more, and answers come where
// the question was asked.
TEST_F(VirtioNetTest, PairsOfQueues) {
    VirtioNetOptions options{kMac, 0};
    options.pairs = 4;
    make(options);
    EXPECT_EQ(driver_->config<uint16_t>(offsetof(Config, max_virtqueue_pairs)), 4u);
    ASSERT_TRUE(driver_->negotiate(kRings | kUsual | kFeatureMq));
    std::vector<GuestQueue> queues;
    for (uint16_t i = 0; i < 9; ++i) queues.push_back(driver_->make_queue(i));
    control_.emplace(std::move(queues[8]));
    driver_->driver_ok();
    const auto pairs_set = [&](uint8_t pairs) {
        const std::array<uint8_t, 4> command{kClassMq, kMqPairsSet, pairs, 0};
        const GuestPhys place = driver_->allocator().take(5);
        EXPECT_TRUE(memory_->write(place, std::as_bytes(std::span(command))));
        const std::array buffers{GuestBuffer{place, 4, false}, GuestBuffer{place + 4, 1, true}};
        control_->add(buffers);
        driver_->ring(8);
        EXPECT_TRUE(control_->take_used());
        return memory_->load<uint8_t>(place + 4).value();
    };
    EXPECT_EQ(pairs_set(0), kError);
    EXPECT_EQ(pairs_set(5), kError);
    EXPECT_EQ(pairs_set(4), kOk);

    for (uint16_t pair = 0; pair < 4; ++pair) {
        const GuestPhys place = driver_->allocator().take(2048);
        const GuestBuffer buffer{place, 2048, true};
        queues[2 * pair].add({&buffer, 1});
        driver_->ring(static_cast<uint16_t>(2 * pair));
    }
    // A flow of its own is sent on each pair; the answer has addresses and ports turned round.
    const auto ip_frame = [](uint8_t from, uint8_t to, uint8_t from_port, uint8_t to_port) {
        std::vector<std::byte> frame = make_frame(kMac, kPeer, 60);
        const uint8_t header[] = {8, 0,  0x45, 0, 0,    46, 0, 0, 0,  0,  64,        17, 0,
                                  0, 10, 0,    2, from, 10, 0, 2, to, 40, from_port, 40, to_port};
        std::memcpy(frame.data() + 12, header, sizeof header);
        return frame;
    };
    for (uint8_t pair = 0; pair < 4; ++pair) {
        const std::vector<std::byte> frame = ip_frame(15, 2, static_cast<uint8_t>(100 + pair), 7);
        std::vector<std::byte> bytes(kHeaderSize);
        bytes.insert(bytes.end(), frame.begin(), frame.end());
        const GuestPhys place = driver_->allocator().take(bytes.size());
        ASSERT_TRUE(memory_->write(place, bytes));
        const GuestBuffer buffer{place, static_cast<uint32_t>(bytes.size()), false};
        queues[2 * pair + 1].add({&buffer, 1});
        driver_->ring(static_cast<uint16_t>(2 * pair + 1));
    }
    EXPECT_EQ(backend_.take_sent().size(), 4u);
    for (uint8_t pair = 4; pair-- > 0;) {
        EXPECT_TRUE(backend_.deliver(ip_frame(2, 15, 7, static_cast<uint8_t>(100 + pair))));
        for (uint8_t other = 0; other < 4; ++other)
            EXPECT_EQ(queues[2 * other].take_used().has_value(), other == pair);
    }
    // One pair again: everything comes there.
    EXPECT_EQ(pairs_set(1), kOk);
    const GuestPhys place = driver_->allocator().take(2048);
    const GuestBuffer buffer{place, 2048, true};
    queues[0].add({&buffer, 1});
    EXPECT_TRUE(backend_.deliver(ip_frame(2, 15, 7, 103)));
    EXPECT_TRUE(queues[0].take_used());
}

TEST_F(VirtioNetTest, WithoutMultiqueueTheThirdQueueIsTheControlQueue) {
    VirtioNetOptions options{kMac, 0};
    options.pairs = 4;
    make(options);
    begin();
    EXPECT_EQ(control(kClassMq, kMqPairsSet, {1, 0}), kError);
    EXPECT_EQ(control(kClassRx, kRxPromiscuous, {0}), kOk);
}

}  // namespace
}  // namespace mynah
