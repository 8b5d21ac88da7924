// Receive-side scaling and hash reports of the network device [virtio-1.2 5.1.6.5.7].

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "paravirt/virtio/virtio_mmio.h"
#include "paravirt/virtio/virtio_net.h"
#include "testing/packet_builder.h"
#include "testing/recording_line.h"
#include "testing/scripted_network_backend.h"
#include "testing/virtio_driver.h"

namespace mynah {
namespace {

using namespace virtio::net;
using testing::GuestBuffer;

constexpr uint16_t kPairs = 4, kControl = 2 * kPairs;
constexpr MacAddress kMac{{0x52, 0x54, 0, 1, 2, 3}}, kPeer{{0x52, 0x54, 0, 4, 5, 6}};
constexpr uint64_t kFeatures = virtio::kFeatureVersion1 | virtio::kFeatureIndirectDesc |
                               kFeatureMac | kFeatureCtrlVq | kFeatureMrgRxbuf;

class VirtioNetRssTest : public ::testing::Test {
  protected:
    void begin(uint64_t features) {
        ASSERT_TRUE(driver_.negotiate(kFeatures | features));
        for (uint16_t i = 0; i <= kControl; ++i) queues_.push_back(driver_.make_queue(i, 64));
        driver_.driver_ok();
        for (uint16_t pair = 0; pair < kPairs; ++pair) {
            for (int i = 0; i < 8; ++i) {
                const GuestBuffer buffer{driver_.allocator().take(2048), 2048, true};
                places_[pair][queues_[2 * pair].add({&buffer, 1})] = buffer.address;
            }
            driver_.ring(static_cast<uint16_t>(2 * pair));
        }
    }
    uint8_t command(uint8_t number, const std::vector<uint8_t>& data) {
        std::vector<uint8_t> bytes{kClassMq, number};
        bytes.insert(bytes.end(), data.begin(), data.end());
        const GuestPhys place = driver_.allocator().take(bytes.size() + 1);
        EXPECT_TRUE(memory_->write(place, std::as_bytes(std::span(bytes))));
        const GuestBuffer buffers[] = {{place, static_cast<uint32_t>(bytes.size()), false},
                                       {place + bytes.size(), 1, true}};
        queues_[kControl].add(buffers);
        driver_.ring(kControl);
        EXPECT_TRUE(queues_[kControl].take_used());
        return memory_->load<uint8_t>(place + bytes.size()).value();
    }
    // A table with the pairs from the last to the first, and a key of 40 bytes.
    static std::vector<uint8_t> steering(uint8_t types) {
        std::vector<uint8_t> data{types, 0, 0, 0, 3, 0, 1,      0, 3, 0,
                                  2,     0, 1, 0, 0, 0, kPairs, 0, 40};
        for (uint8_t i = 0; i < 40; ++i) data.push_back(static_cast<uint8_t>(i * 37 + 11));
        return data;
    }
    static std::vector<uint8_t> key_of(const std::vector<uint8_t>& data) {
        return {data.end() - 40, data.end()};
    }
    static std::vector<std::byte> flow(uint16_t port) {
        testing::TcpPacket packet;
        packet.source = kPeer;
        packet.destination = kMac;
        packet.source_address = 0x0a000202;
        packet.destination_address = 0x0a00020f;
        packet.source_port = port;
        packet.destination_port = 9;
        packet.payload = testing::to_bytes("x");
        return testing::make_udp4(packet);
    }
    struct Arrival {
        uint16_t pair;
        std::vector<std::byte> bytes;
    };
    std::optional<Arrival> deliver(std::vector<std::byte> frame) {
        EXPECT_TRUE(backend_.deliver(std::move(frame)));
        for (uint16_t pair = 0; pair < kPairs; ++pair) {
            const auto used = queues_[2 * pair].take_used();
            if (!used) continue;
            std::vector<std::byte> bytes(used->length);
            EXPECT_TRUE(memory_->read(places_[pair].at(used->id), bytes));
            return Arrival{pair, bytes};
        }
        return std::nullopt;
    }

    std::unique_ptr<GuestMemory> memory_ = [] {
        const GuestMemory::Range range{GuestPhys{0}, 4 << 20};
        return GuestMemory::create({&range, 1}).take_value();
    }();
    DmaView view_{*memory_};
    testing::RecordingLine line_;
    testing::ScriptedNetworkBackend backend_;
    VirtioNet device_{backend_, VirtioNetOptions{.address = kMac,
                                                 .mtu = 0,
                                                 .pairs = kPairs,
                                                 .rings = {},
                                                 .rss = true,
                                                 .hash_report = true}};
    VirtioMmio mmio_{device_, view_, line_};
    testing::VirtioDriver driver_{mmio_, *memory_, GuestPhys{0x1000}};
    std::vector<testing::GuestQueue> queues_;
    std::map<uint32_t, GuestPhys> places_[kPairs];
};

TEST_F(VirtioNetRssTest, SaysWhatItCanDo) {
    EXPECT_NE(driver_.device_features() & kFeatureRss, 0u);
    EXPECT_NE(driver_.device_features() & kFeatureHashReport, 0u);
    EXPECT_EQ(driver_.config<uint8_t>(offsetof(Config, rss_key_most)), 40u);
    EXPECT_EQ(driver_.config<uint16_t>(offsetof(Config, rss_table_most)), 128u);
    EXPECT_EQ(driver_.config<uint32_t>(offsetof(Config, hash_types)), 0x3fu);
    VirtioNet plain(backend_, VirtioNetOptions{.address = kMac, .mtu = 0, .pairs = 4});
    EXPECT_EQ(plain.features() & (kFeatureRss | kFeatureHashReport), 0u)
        << "only where it is wanted";
}

TEST_F(VirtioNetRssTest, PacketsGoByTheirHashes) {
    begin(kFeatureMq | kFeatureRss);
    ASSERT_EQ(command(kMqRssConfig, steering(0x3f)), kOk);
    const auto key = key_of(steering(0x3f));
    std::vector<unsigned> seen(kPairs);
    for (uint16_t port = 1000; port < 1016; ++port) {
        const auto frame = flow(port);
        // Source and destination addresses lie at 26, ports at 34.
        const uint32_t hash = NetHash::toeplitz(key, std::span(frame).subspan(26, 12));
        const auto arrival = deliver(frame);
        ASSERT_TRUE(arrival);
        EXPECT_EQ(arrival->pair, 3 - hash % 4);
        EXPECT_EQ(arrival->bytes.size(), kHeaderSize + frame.size()) << "no hash in the header";
        ++seen[arrival->pair];
    }
    for (const unsigned count : seen) EXPECT_GT(count, 0u);
    const auto other = deliver(testing::make_arp_request(kPeer, 1, 2));
    ASSERT_TRUE(other);
    EXPECT_EQ(other->pair, 1) << "what has no hash";
    EXPECT_EQ(command(kMqPairsSet, {1, 0}), kOk) << "by itself again, with one pair";
    EXPECT_EQ(deliver(flow(1001))->pair, 0);
}

TEST_F(VirtioNetRssTest, HashesAreReported) {
    begin(kFeatureMq | kFeatureHashReport);
    std::vector<uint8_t> data{0x3f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40};
    const auto key = key_of(steering(0));
    data.insert(data.end(), key.begin(), key.end());
    ASSERT_EQ(command(kMqHashConfig, data), kOk);
    const auto frame = flow(77);
    const auto arrival = deliver(frame);
    ASSERT_TRUE(arrival);
    ASSERT_EQ(arrival->bytes.size(), kHashHeaderSize + frame.size());
    EXPECT_EQ(load_unaligned<uint32_t>(&arrival->bytes[kHashValue]),
              NetHash::toeplitz(key, std::span(frame).subspan(26, 12)));
    EXPECT_EQ(load_unaligned<NetHash::Report>(&arrival->bytes[kHashReport]),
              NetHash::Report::kUdpv4);
    EXPECT_EQ(std::memcmp(&arrival->bytes[kHashHeaderSize], frame.data(), frame.size()), 0);
    const auto other = deliver(testing::make_arp_request(kPeer, 1, 2));
    EXPECT_EQ(load_unaligned<NetHash::Report>(&other->bytes[kHashReport]), NetHash::Report::kNone);
    // Packets to the network have the longer header, too.
    std::vector<std::byte> out(kHashHeaderSize);
    out.insert(out.end(), frame.begin(), frame.end());
    const GuestPhys place = driver_.allocator().take(out.size());
    ASSERT_TRUE(memory_->write(place, out));
    const GuestBuffer buffer{place, static_cast<uint32_t>(out.size()), false};
    queues_[1].add({&buffer, 1});
    driver_.ring(1);
    const auto sent = backend_.take_sent();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].bytes, frame);
}

TEST_F(VirtioNetRssTest, OnlyWhatWasNegotiatedIsTaken) {
    begin(kFeatureMq);
    EXPECT_EQ(command(kMqRssConfig, steering(0x3f)), kError);
    EXPECT_EQ(command(kMqHashConfig, std::vector<uint8_t>(13)), kError);
    EXPECT_EQ(command(9, {}), kError);
    EXPECT_EQ(command(kMqRssConfig, {}), kError);
}

}  // namespace
}  // namespace mynah
