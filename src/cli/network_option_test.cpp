#include "cli/network_option.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mynah {
namespace {

using ::testing::HasSubstr;
using Kind = NetworkConfig::Kind;
using Model = NetworkConfig::Model;

NetworkConfig network(std::string_view value) {
    RunOptions options;
    const auto applied = apply_network_option(options, value);
    EXPECT_TRUE(applied.ok()) << (applied.ok() ? "" : applied.error().message());
    EXPECT_EQ(options.machine.networks.size(), 1u);
    return options.machine.networks.empty() ? NetworkConfig() : options.machine.networks[0];
}

std::string failure(std::string_view value) {
    RunOptions options;
    const auto applied = apply_network_option(options, value);
    EXPECT_TRUE(options.machine.networks.empty());
    return applied.ok() ? "no error" : applied.error().message();
}

TEST(NetworkOption, User) {
    const NetworkConfig plain = network("user");
    EXPECT_EQ(plain.kind, Kind::kUser);
    EXPECT_EQ(plain.model, Model::kDefault);
    EXPECT_FALSE(plain.address);
    const NetworkConfig full = network(
        "user,model=e1000,mac=52:54:00:01:02:03,hostfwd=tcp::2222-:22,"
        "hostfwd=udp:127.0.0.1:53-10.0.2.20:5353,restrict=on,tftp=/srv/a,,b,bootfile=boot.ipxe,"
        "mtu=9000,pcap=out.pcap");
    EXPECT_EQ(full.model, Model::kE1000);
    EXPECT_EQ(full.address->text(), "52:54:00:01:02:03");
    ASSERT_EQ(full.user.forwards.size(), 2u);
    EXPECT_EQ(full.user.forwards[0], (PortForward{false, 0, 2222, 0, 22}));
    EXPECT_EQ(full.user.forwards[1], (PortForward{true, 0x7f000001, 53, 0x0a000214, 5353}));
    EXPECT_TRUE(full.user.restricted);
    EXPECT_EQ(full.user.tftp_directory, "/srv/a,b");
    EXPECT_EQ(full.user.boot_file, "boot.ipxe");
    EXPECT_EQ(full.mtu, 9000);
    EXPECT_EQ(full.pcap, "out.pcap");
}

TEST(NetworkOption, OtherNetworks) {
    const NetworkConfig tap = network("tap=tap0,model=virtio");
    EXPECT_EQ(tap.kind, Kind::kTap);
    EXPECT_EQ(tap.target, "tap0");
    const NetworkConfig listener = network("stream=/run/cable,server=on,model=rtl8139");
    EXPECT_EQ(listener.kind, Kind::kStream);
    EXPECT_TRUE(listener.listens);
    EXPECT_EQ(listener.model, Model::kRtl8139);
    EXPECT_FALSE(network("stream=/run/cable").listens);
    const NetworkConfig datagram = network("dgram=/run/a,peer=/run/b");
    EXPECT_EQ(datagram.kind, Kind::kDatagram);
    EXPECT_EQ(datagram.target, "/run/a");
    EXPECT_EQ(datagram.peer, "/run/b");
    RunOptions none;
    EXPECT_TRUE(apply_network_option(none, "none").ok());
    EXPECT_TRUE(none.machine.networks.empty());
}

TEST(NetworkOption, Switch) {
    const NetworkConfig port = network("switch=/run/lan,trunk=10+20-22,vlan=5,rate=8M");
    EXPECT_EQ(port.kind, Kind::kSwitch);
    EXPECT_EQ(port.target, "/run/lan");
    EXPECT_EQ(port.port.rules.vlan, 5);
    EXPECT_EQ(port.port.rules.allowed.count(), 4u);
    EXPECT_EQ(port.port.rules.bytes_per_second, 1'000'000u);
    EXPECT_EQ(network("switch=lan,group=web").port.group, "web");
    EXPECT_EQ(network("passt").target, "");
    EXPECT_EQ(network("passt=/run/passt").target, "/run/passt");
    EXPECT_EQ(network("bridge=br0").kind, Kind::kBridge);
}

TEST(NetworkOption, SaysWhatItExpected) {
    EXPECT_THAT(failure("usr"), HasSubstr("did you mean user"));
    EXPECT_THAT(failure(""), HasSubstr("expected user"));
    EXPECT_THAT(failure("user=x"), HasSubstr("unknown network"));
    EXPECT_THAT(failure("none,model=e1000"), HasSubstr("unknown network"));
    EXPECT_THAT(failure("tap"), HasSubstr("unknown network"));
    EXPECT_THAT(failure("tap="), HasSubstr("the name of an interface"));
    EXPECT_THAT(failure("switch="), HasSubstr("the name of a switch"));
    EXPECT_THAT(failure("bridge="), HasSubstr("the name of a bridge"));
    EXPECT_THAT(failure("switch=lan,vlan=4095"), HasSubstr("vlan=4095: expected 1 to 4094"));
    EXPECT_THAT(failure("switch=lan,trunk=9-5"), HasSubstr("trunk=9-5: expected all"));
    EXPECT_THAT(failure("switch=lan,rate=1"), HasSubstr("rate=1: expected bits a second"));
    EXPECT_THAT(failure("switch=lan,group=web,vlan=1"), HasSubstr("brings its own rules"));
    EXPECT_THAT(failure("user,vlan=1"), HasSubstr("belongs to --network switch=NAME"));
    EXPECT_THAT(failure("vhost-user="), HasSubstr("expected the path of a socket"));
    EXPECT_THAT(failure("vhost-user=/a,queues=0"), HasSubstr("queues=0: expected 1 to 16"));
    EXPECT_THAT(failure("vhost-user=/a,pcap=x"), HasSubstr("unknown part 'pcap'"));
    EXPECT_THAT(failure("user,modle=e1000"), HasSubstr("did you mean model"));
    EXPECT_THAT(failure("user,e1000"), HasSubstr("unknown part 'e1000'"));
    EXPECT_EQ(failure("user,model=ne2000"), "model=ne2000: expected virtio, e1000 or rtl8139");
    EXPECT_THAT(failure("user,mac=01:00:00:00:00:00"), HasSubstr("mac=01:00:00:00:00:00: "));
    EXPECT_THAT(failure("user,mtu=10"), HasSubstr("mtu=10: expected 576"));
    EXPECT_THAT(failure("user,restrict=maybe"), HasSubstr("restrict=maybe: "));
    EXPECT_THAT(failure("user,server=on"), HasSubstr("belongs to --network stream"));
    EXPECT_THAT(failure("tap=t,hostfwd=tcp::1-:1"), HasSubstr("belongs to --network user"));
    EXPECT_THAT(failure("dgram=/a"), HasSubstr("peer= is missing"));
    EXPECT_THAT(failure("user,pcap="), HasSubstr("pcap=: expected the path"));
    for (const char* forward : {"tcp:2222-22", "tcp::2222", "icmp::1-:1", "tcp::0-:22",
                                "tcp::1-:70000", "tcp:host:1-:1", "tcp:-:", "-tcp::1:1", ""}) {
        EXPECT_THAT(failure(std::string("user,hostfwd=") + forward), HasSubstr("expected"))
            << forward;
    }
}

TEST(NetworkOption, HasALimit) {
    RunOptions options;
    for (unsigned i = 0; i < NetworkConfig::kMaxCards; ++i) {
        EXPECT_TRUE(apply_network_option(options, "user").ok());
    }
    EXPECT_FALSE(apply_network_option(options, "user").ok());
}

}  // namespace
}  // namespace mynah
