#include "backend/network/switch_table.h"

#include <gtest/gtest.h>

#include "backend/network/ethernet.h"
#include "backend/network/switch_greeting.h"

namespace mynah {
namespace {

using Tag = SwitchTable::Copy::Tag;
constexpr uint64_t kSecond = 1'000'000'000;

std::vector<std::byte> frame(uint8_t to, uint8_t from, uint16_t tag = 0) {
    std::vector<std::byte> bytes(64);
    bytes[0] = to == 0xff ? std::byte{0xff} : std::byte{0x52};
    bytes[5] = std::byte{to};
    bytes[6] = std::byte{0x52};
    bytes[11] = std::byte{from};
    ethernet::store16(bytes, ethernet::kType, tag != 0 ? ethernet::kTypeVlan : 0x0800);
    if (tag != 0) ethernet::store16(bytes, ethernet::kHeaderSize, tag);
    return bytes;
}

SwitchPortRules access(uint16_t vlan) {
    SwitchPortRules rules;
    rules.vlan = vlan;
    return rules;
}

SwitchPortRules trunk(std::string_view vlans) {
    SwitchPortRules rules;
    EXPECT_TRUE(parse_trunk(vlans, rules).ok());
    return rules;
}

// "2 3i 4r 5n": the ports, with a tag inserted, removed or new.
std::string sent(SwitchTable& table, SwitchTable::Port from, const std::vector<std::byte>& bytes,
                 uint64_t now = kSecond) {
    std::string out;
    for (const auto& copy : table.forward(from, bytes, bytes.size(), now).copies) {
        out += (out.empty() ? "" : " ") + std::to_string(copy.port);
        switch (copy.tag) {
            case Tag::kAsItCame:
                break;
            case Tag::kInsert:
                out += "i";
                break;
            case Tag::kRemove:
                out += "r";
                break;
            case Tag::kReplace:
                out += "n";
                break;
        }
    }
    return out;
}

TEST(SwitchTable, LearnsAndForgets) {
    SwitchTable table;
    for (SwitchTable::Port port = 1; port <= 3; ++port) table.add_port(port, {});
    EXPECT_EQ(sent(table, 1, frame(2, 1)), "2 3");  // nobody has seen 2
    EXPECT_EQ(sent(table, 2, frame(1, 2)), "1");
    EXPECT_EQ(sent(table, 1, frame(2, 1)), "2");
    EXPECT_EQ(sent(table, 1, frame(0xff, 1)), "2 3");
    EXPECT_EQ(sent(table, 1, frame(1, 1)), "");                          // to itself
    EXPECT_EQ(sent(table, 3, frame(4, 2)), "1 2");                       // 2 moves to port 3
    EXPECT_EQ(sent(table, 1, frame(2, 1)), "3");
    EXPECT_EQ(sent(table, 1, frame(2, 1), kSecond + SwitchTable::kAgeNs), "2 3");
    table.remove_port(3);
    EXPECT_EQ(sent(table, 1, frame(2, 1)), "2");
}

TEST(SwitchTable, VlansAreApart) {
    SwitchTable table;
    table.add_port(1, access(10));
    table.add_port(2, access(10));
    table.add_port(3, access(20));
    table.add_port(4, trunk("10+20"));
    SwitchPortRules mirror;
    mirror.mirror = true;
    table.add_port(5, mirror);
    table.add_port(6, {});
    EXPECT_EQ(sent(table, 1, frame(0xff, 1)), "2 4i 5i");
    EXPECT_EQ(sent(table, 3, frame(0xff, 3)), "4i 5i");
    EXPECT_EQ(sent(table, 4, frame(0xff, 4, 10)), "1r 2r 5");
    EXPECT_EQ(sent(table, 4, frame(3, 4, 20)), "3r 5");   // learnt in its VLAN
    EXPECT_EQ(sent(table, 4, frame(3, 4, 10)), "1r 2r 5");  // and not in another
    EXPECT_EQ(sent(table, 4, frame(0xff, 4, 30)), "");    // not on its trunk
    EXPECT_EQ(sent(table, 4, frame(0xff, 4)), "5 6");     // no tag: the network without one
    EXPECT_EQ(sent(table, 1, frame(0xff, 1, 20)), "");    // hopping by a tag
    EXPECT_EQ(sent(table, 5, frame(0xff, 5)), "");        // a mirror says nothing
}

// A tag that names no VLAN must not become the first that the next switch believes.
TEST(SwitchTable, ATagForPriorityIsNoWayOut) {
    SwitchTable table;
    table.add_port(1, access(10));
    table.add_port(2, access(10));
    table.add_port(3, trunk("10+20"));
    SwitchPortRules native = trunk("20");
    native.vlan = 10;
    table.add_port(4, native);
    SwitchPortRules mirror;
    mirror.mirror = true;
    table.add_port(5, mirror);
    constexpr uint16_t kPriorityOnly = 3 << 13;
    EXPECT_EQ(sent(table, 1, frame(0xff, 1, kPriorityOnly)), "2r 3n 4r 5n");
    EXPECT_EQ(sent(table, 4, frame(0xff, 4, kPriorityOnly)), "1r 2r 3n 5n");
    // With another tag behind it, which a trunk without the first would go by.
    auto nested = frame(0xff, 1, kPriorityOnly);
    ethernet::store16(nested, ethernet::kType + ethernet::kVlanTagSize, ethernet::kTypeVlan);
    ethernet::store16(nested, ethernet::kHeaderSize + ethernet::kVlanTagSize, 20);
    EXPECT_EQ(sent(table, 1, nested), "2r 3n 5n");
}

TEST(SwitchTable, AddressesAreBounded) {
    SwitchTable table;
    table.add_port(1, {});
    table.add_port(2, {});
    EXPECT_EQ(sent(table, 2, frame(1, 9)), "1");
    for (unsigned i = 0; i < 3 * SwitchTable::kMaxPerPort; ++i) {
        auto bytes = frame(0xff, 0);
        ethernet::store16(bytes, 9, static_cast<uint16_t>(i));
        sent(table, 1, bytes);
    }
    EXPECT_EQ(table.addresses(), SwitchTable::kMaxPerPort + 1);
    EXPECT_EQ(sent(table, 1, frame(9, 1)), "2");  // still known
}

TEST(SwitchTable, RatesAreKept) {
    SwitchTable table;
    SwitchPortRules slow;
    slow.bytes_per_second = 1'000'000;
    table.add_port(1, slow);
    table.add_port(2, {});
    const auto bytes = frame(0xff, 1);
    uint64_t passed = 0;
    for (uint64_t now = kSecond; now < 11 * kSecond; now += 10'000) {
        if (!table.forward(1, bytes, 1000, now).copies.empty()) passed += 1000;
    }
    EXPECT_NEAR(static_cast<double>(passed), 10e6, 0.3e6);
}

TEST(SwitchGreeting, ComesBackAsItWas) {
    SwitchGreeting greeting;
    greeting.name = "vm1-0";
    greeting.rules = trunk("1+5-9+4094");
    greeting.rules.vlan = 7;
    greeting.rules.bytes_per_second = 12345;
    const auto back = SwitchGreeting::parse(greeting.text());
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(back.value().text(), "mynah-switch 1;name=vm1-0;vlan=7;rate=12345;trunk=1+5-9+4094");
    EXPECT_EQ(back.value().rules.allowed, greeting.rules.allowed);
    for (const char* wrong : {"", "mynah-switch 2", "mynah-switch 1;vlan=0", "mynah-switch 1;vlan",
                              "mynah-switch 1;trunk=1-5000", "mynah-switch 1;mirror=off",
                              "mynah-switch 1;more=1"}) {
        EXPECT_FALSE(SwitchGreeting::parse(wrong).ok()) << wrong;
    }
}

}  // namespace
}  // namespace mynah
