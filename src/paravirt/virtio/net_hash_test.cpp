#include "paravirt/virtio/net_hash.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>

#include "backend/network/ethernet.h"

namespace mynah {
namespace {

using Report = NetHash::Report;

// The key and the results of Microsoft's "Verifying the RSS Hash Calculation".
constexpr std::array<uint8_t, 40> kKey{0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                       0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                       0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                       0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
struct Published {
    std::string destination;
    uint16_t destination_port;
    std::string source;
    uint16_t source_port;
    uint32_t addresses, ports;
};
const std::array<Published, 8> kPublished{{
    {"161.142.100.80", 1766, "66.9.149.187", 2794, 0x323e8fc2, 0x51ccc178},
    {"65.69.140.83", 4739, "199.92.111.2", 14230, 0xd718262a, 0xc626b0ea},
    {"12.22.207.184", 38024, "24.19.198.95", 12898, 0xd2d0a5de, 0x5c2b394a},
    {"209.142.163.6", 2217, "38.27.205.30", 48228, 0x82989176, 0xafc7327f},
    {"202.188.127.2", 1303, "153.39.163.191", 44251, 0x5d1809c5, 0x10e828a2},
    {"3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x2cc18cd5, 0x40207d3d},
    {"ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0x0f0c461c, 0xdde51bbf},
    {"fe80::200:f8ff:fe21:67cf", 38024, "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, 0x4b61e985,
     0x02d1feef},
}};

bool is_ipv6(const Published& flow) { return flow.source.find(':') != std::string::npos; }

// A frame as far as the ports; between: what stands between an IPv6 header and them.
std::vector<std::byte> frame_of(const Published& flow, uint8_t protocol,
                                const std::vector<uint8_t>& between = {}, uint8_t next = 0) {
    using namespace ethernet;
    std::vector<std::byte> frame(kType + 2 + (is_ipv6(flow) ? kIpv6Header : kIpv4MinHeader));
    const std::span<std::byte> packet = std::span(frame).subspan(kType + 2);
    store16(frame, kType, is_ipv6(flow) ? kTypeIpv6 : kTypeIpv4);
    if (is_ipv6(flow)) {
        packet[0] = std::byte{0x60};
        packet[kIpv6Next] = static_cast<std::byte>(between.empty() ? protocol : next);
        EXPECT_EQ(inet_pton(AF_INET6, flow.source.c_str(), &packet[kIpv6Source]), 1);
        EXPECT_EQ(inet_pton(AF_INET6, flow.destination.c_str(), &packet[kIpv6Source + 16]), 1);
        for (const uint8_t byte : between) frame.push_back(static_cast<std::byte>(byte));
    } else {
        packet[0] = std::byte{0x45};
        packet[kIpv4Protocol] = static_cast<std::byte>(protocol);
        EXPECT_EQ(inet_pton(AF_INET, flow.source.c_str(), &packet[kIpv4Source]), 1);
        EXPECT_EQ(inet_pton(AF_INET, flow.destination.c_str(), &packet[kIpv4Source + 4]), 1);
    }
    const size_t ports = frame.size();
    frame.resize(ports + 20);
    store16(frame, ports, flow.source_port);
    store16(frame, ports + 2, flow.destination_port);
    return frame;
}

class Data {
  public:
    Data& put16(uint16_t value) { return put(&value, 2); }
    Data& put32(uint32_t value) { return put(&value, 4); }
    Data& put_key(std::span<const uint8_t> key = kKey) {
        const auto size = static_cast<uint8_t>(key.size());
        return put(&size, 1).put(key.data(), key.size());
    }
    SliceList list() {
        SliceList list;
        list.append(bytes_);
        return list;
    }
    void cut() { bytes_.pop_back(); }

  private:
    Data& put(const void* from, size_t size) {
        const auto* bytes = static_cast<const std::byte*>(from);
        bytes_.insert(bytes_.end(), bytes, bytes + size);
        return *this;
    }
    std::vector<std::byte> bytes_;
};

bool set_report(NetHash& hash, uint32_t types) {
    Data data;
    auto list = data.put32(types).put32(0).put32(0).put_key().list();
    return hash.set_report(list);
}

TEST(NetHash, AgreesWithWhatIsPublished) {
    for (const Published& flow : kPublished) {
        NetHash hash;
        const auto frame = frame_of(flow, ethernet::kProtocolTcp);
        EXPECT_EQ(hash.of(frame).report, Report::kNone) << "nothing was asked for";
        ASSERT_TRUE(set_report(hash, NetHash::kTypes));
        const bool v6 = is_ipv6(flow);
        NetHash::Result result = hash.of(frame);
        EXPECT_EQ(result.value, flow.ports) << flow.source;
        EXPECT_EQ(result.report, v6 ? Report::kTcpv6 : Report::kTcpv4);
        result = hash.of(frame_of(flow, ethernet::kProtocolUdp));
        EXPECT_EQ(result.value, flow.ports) << "over the same fields";
        EXPECT_EQ(result.report, v6 ? Report::kUdpv6 : Report::kUdpv4);
        result = hash.of(frame_of(flow, 1));
        EXPECT_EQ(result.value, flow.addresses);
        EXPECT_EQ(result.report, v6 ? Report::kIpv6 : Report::kIpv4);
        ASSERT_TRUE(set_report(hash, 1 | 1 << 3));  // addresses only
        EXPECT_EQ(hash.of(frame).value, flow.addresses);
        ASSERT_TRUE(set_report(hash, v6 ? 1 << 4 : 1 << 1));  // TCP only
        EXPECT_EQ(hash.of(frame).value, flow.ports);
        EXPECT_EQ(hash.of(frame_of(flow, ethernet::kProtocolUdp)).report, Report::kNone);
        ASSERT_TRUE(set_report(hash, v6 ? 7 : 7 << 3));  // of the other version
        EXPECT_EQ(hash.of(frame).report, Report::kNone);
    }
}

TEST(NetHash, FragmentsHaveNoPorts) {
    NetHash hash;
    ASSERT_TRUE(set_report(hash, NetHash::kTypes));
    auto frame = frame_of(kPublished[0], ethernet::kProtocolUdp);
    ethernet::store16(frame, 14 + ethernet::kIpv4Fragment, 0x2000);  // more follow
    EXPECT_EQ(hash.of(frame).report, Report::kIpv4);
    EXPECT_EQ(hash.of(frame).value, kPublished[0].addresses);
    const auto other = frame_of(kPublished[5], ethernet::kProtocolTcp, std::vector<uint8_t>(8), 44);
    EXPECT_EQ(hash.of(other).report, Report::kIpv6);
}

TEST(NetHash, ExtensionHeadersAreSkipped) {
    NetHash hash;
    ASSERT_TRUE(set_report(hash, NetHash::kTypes));
    // Hop-by-hop options of 8 bytes, then a routing header of 16.
    std::vector<uint8_t> between(24);
    between[0] = 43;
    between[8] = ethernet::kProtocolTcp;
    between[9] = 1;
    const auto frame = frame_of(kPublished[5], ethernet::kProtocolTcp, between, 0);
    EXPECT_EQ(hash.of(frame).value, kPublished[5].ports);
    EXPECT_EQ(hash.of(frame).report, Report::kTcpv6);
    for (size_t size = 0; size < frame.size(); ++size) (void)hash.of(std::span(frame).first(size));
    between[9] = 255;
    EXPECT_EQ(hash.of(frame_of(kPublished[5], ethernet::kProtocolTcp, between, 0)).report,
              Report::kIpv6)
        << "beyond what is looked at";
}

TEST(NetHash, PacketsGoWhereTheTableSays) {
    NetHash hash;
    EXPECT_EQ(hash.pair_for({}), std::nullopt);
    uint16_t transmit = 0;
    Data data;
    data.put32(NetHash::kTypes).put16(3).put16(2);
    for (const uint16_t pair : {3, 2, 1, 0}) data.put16(pair);
    auto list = data.put16(4).put_key().list();
    ASSERT_TRUE(hash.set_steering(list, 4, transmit));
    EXPECT_EQ(transmit, 4);
    EXPECT_EQ(hash.pair_for({0x10, Report::kIpv4}), 3);
    EXPECT_EQ(hash.pair_for({0x13, Report::kIpv4}), 0);
    EXPECT_EQ(hash.pair_for({}), 2) << "what has no hash";
    EXPECT_EQ(hash.of(frame_of(kPublished[1], ethernet::kProtocolTcp)).value, kPublished[1].ports);
    hash.stop_steering();
    EXPECT_EQ(hash.pair_for({0x10, Report::kIpv4}), std::nullopt);
}

TEST(NetHash, RefusesWhatBreaksTheRules) {
    NetHash hash;
    uint16_t transmit = 7;
    const auto steer = [&](uint32_t types, uint16_t mask, uint16_t unclassified, uint16_t entry,
                           uint16_t transmits, size_t key = 40, bool cut = false) {
        Data data;
        data.put32(types).put16(mask).put16(unclassified);
        for (int i = 0; i <= mask && i < 1024; ++i) data.put16(entry);
        data.put16(transmits).put_key(std::vector<uint8_t>(key, 1));
        if (cut) data.cut();
        auto list = data.list();
        return hash.set_steering(list, 2, transmit);
    };
    EXPECT_FALSE(steer(0x40, 1, 0, 0, 1)) << "a type that was not offered";
    EXPECT_FALSE(steer(1, 2, 0, 0, 1)) << "no power of two";
    EXPECT_FALSE(steer(1, 255, 0, 0, 1)) << "a table that is too long";
    EXPECT_FALSE(steer(1, 0xffff, 0, 0, 1));
    EXPECT_FALSE(steer(1, 1, 2, 0, 1)) << "a pair that is not there";
    EXPECT_FALSE(steer(1, 1, 0, 2, 1));
    EXPECT_FALSE(steer(1, 1, 0, 0, 0));
    EXPECT_FALSE(steer(1, 1, 0, 0, 3));
    EXPECT_FALSE(steer(1, 1, 0, 0, 1, 41)) << "a key that is too long";
    EXPECT_FALSE(steer(1, 1, 0, 0, 1, 40, true)) << "cut off";
    EXPECT_EQ(transmit, 7);
    EXPECT_EQ(hash.pair_for({}), std::nullopt) << "nothing was set";
    EXPECT_TRUE(steer(1, 127, 1, 1, 2, 0));
    EXPECT_FALSE(set_report(hash, 0x100));
}

}  // namespace
}  // namespace mynah
