#include "backend/network/user_network.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "backend/network/ethernet.h"
#include "backend/network/segmentation.h"
#include "host/fd.h"
#include "testing/packet_builder.h"
#include "testing/recording_network_sink.h"

namespace mynah {
namespace {

using namespace ethernet;
using namespace testing;

constexpr MacAddress kMac{{0x52, 0x54, 0, 1, 2, 3}};
constexpr uint32_t kMe = UserNetwork::kGuest;

// A listening socket on the loopback, and its port.
struct Listener {
    Fd fd{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    uint16_t port = 0;

    Listener() {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
        EXPECT_EQ(listen(fd.get(), 5), 0);
        getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
        port = ntohs(address.sin_port);
    }
};

class UserNetworkTest : public ::testing::Test {
  protected:
    void begin(const UserNetworkOptions& options = {}) {
        auto opened = UserNetwork::open(options, "--network user");
        ASSERT_TRUE(opened.ok()) << opened.error().message();
        network_ = opened.take_value();
        network_->set_sink(&sink_);
    }
    void TearDown() override {
        if (network_) network_->set_sink(nullptr);
    }
    void send(std::vector<std::byte> frame, const FrameOffload& offload = {}) {
        ASSERT_TRUE(transmit_one(*network_, frame, offload));
    }
    // The next frame that is what the test waits for.
    template <typename Wanted>
    std::vector<std::byte> wait_for(Wanted&& wanted) {
        while (auto frame = sink_.take()) {
            if (frame->bytes.size() > kHeaderSize && wanted(frame->bytes)) return frame->bytes;
        }
        ADD_FAILURE() << "no such frame came";
        return std::vector<std::byte>(200);
    }
    void learn_host() {
        send(make_arp_request(kMac, kMe, UserNetwork::kHost));
        const auto reply = wait_for([](const auto& f) {
            return load16(f, kType) == kTypeArp && load16(f, kHeaderSize + 6) == 2;
        });
        std::memcpy(host_.bytes.data(), reply.data() + kHeaderSize + 8, kAddressSize);
    }
    std::vector<std::byte> wait_tcp(uint16_t port) {
        const auto frame = wait_for([port](const auto& f) {
            const auto headers = find_headers(f);
            return headers && headers->protocol == kProtocolTcp &&
                   load16(f, headers->transport + 2) == port;
        });
        EXPECT_TRUE(checksums_good(frame));
        return frame;
    }

    RecordingNetworkSink sink_;
    std::unique_ptr<UserNetwork> network_;
    MacAddress host_;
};

uint8_t flags_of(std::span<const std::byte> frame) {
    return static_cast<uint8_t>(frame[find_headers(frame)->transport + kTcpFlags]);
}

// One TCP connection from the guest's side, good enough for a network that loses nothing.
class GuestConnection {
  public:
    GuestConnection(MacAddress host, uint16_t port, uint16_t own_port = 40000) {
        packet_ = {kMac, host, kMe, UserNetwork::kHost, own_port, port, 1000, 0, 0, {}};
    }
    std::vector<std::byte> make(uint8_t flags, std::vector<std::byte> payload = {}) {
        packet_.flags = flags;
        packet_.payload = std::move(payload);
        auto frame = make_tcp4(packet_);
        packet_.sequence += static_cast<uint32_t>(packet_.payload.size());
        if ((flags & (kTcpSyn | kTcpFin)) != 0) ++packet_.sequence;
        return frame;
    }
    // The payload, if it is the next.
    std::vector<std::byte> accept(std::span<const std::byte> frame) {
        const auto headers = find_headers(frame);
        const uint32_t sequence = load32(frame, headers->transport + kTcpSequence);
        if ((flags_of(frame) & kTcpSyn) != 0) {
            packet_.acknowledged = sequence + 1;
            return {};
        }
        if (sequence != packet_.acknowledged) return {};
        const auto payload = frame.subspan(headers->payload, headers->end - headers->payload);
        packet_.acknowledged += static_cast<uint32_t>(payload.size());
        return {payload.begin(), payload.end()};
    }
    TcpPacket& packet() { return packet_; }

  private:
    TcpPacket packet_;
};

TEST_F(UserNetworkTest, AnswersArpOnTheSendingThread) {
    begin();
    send(make_arp_request(kMac, kMe, UserNetwork::kHost));
    // No waiting: the answer came within transmit().
    ASSERT_GE(sink_.received(), 1u);
    learn_host();
    EXPECT_FALSE(host_.is_group());
}

TEST_F(UserNetworkTest, GivesAnAddressByDhcp) {
    begin();
    TcpPacket packet{kMac, kBroadcastAddress, 0, 0xffffffff, 68, 67, 0, 0, 0, {}};
    packet.payload.resize(300);
    auto& bootp = packet.payload;
    bootp[0] = std::byte{1};  // request [RFC 951], Ethernet
    bootp[1] = std::byte{1};
    bootp[2] = std::byte{6};
    std::memcpy(&bootp[28], kMac.bytes.data(), kAddressSize);
    constexpr std::array<uint8_t, 8> kDiscover{99, 130, 83, 99, 53, 1, 1, 255};  // [RFC 2131]
    std::memcpy(&bootp[236], kDiscover.data(), kDiscover.size());
    send(make_udp4(packet));
    const auto offer = wait_for([](const auto& f) {
        const auto headers = find_headers(f);
        return headers && headers->protocol == kProtocolUdp &&
               load16(f, headers->transport + 2) == 68;
    });
    const size_t payload = find_headers(offer)->payload;
    EXPECT_EQ(load32(offer, payload + 16), kMe);  // yiaddr
}

TEST_F(UserNetworkTest, ConnectsToAServerOfTheHost) {
    begin();
    learn_host();
    Listener server;
    GuestConnection guest(host_, server.port);
    send(guest.make(kTcpSyn));
    const auto answer = wait_tcp(40000);
    ASSERT_EQ(flags_of(answer), kTcpSyn | kTcpAckFlag);
    guest.accept(answer);
    send(guest.make(kTcpAckFlag | kTcpPsh, to_bytes("hello")));

    const Fd peer(accept(server.fd.get(), nullptr, nullptr));
    std::array<char, 16> got{};
    ASSERT_EQ(read(peer.get(), got.data(), got.size()), 5);
    EXPECT_STREQ(got.data(), "hello");
    ASSERT_EQ(write(peer.get(), "world!", 6), 6);
    std::vector<std::byte> received;
    while (received.size() < 6) {
        const auto bytes = guest.accept(wait_tcp(40000));
        received.insert(received.end(), bytes.begin(), bytes.end());
        if (HasFailure()) return;
    }
    EXPECT_EQ(received, to_bytes("world!"));
}

// Processors look at the sockets while the network's own thread is woken for the same bytes.
TEST_F(UserNetworkTest, ManyMayLookAndEveryByteComesOnce) {
    begin();
    learn_host();
    Listener server;
    GuestConnection guest(host_, server.port);
    send(guest.make(kTcpSyn));
    guest.accept(wait_tcp(40000));
    send(guest.make(kTcpAckFlag));
    const Fd peer(accept(server.fd.get(), nullptr, nullptr));
    std::atomic<bool> stop{false};
    std::vector<std::thread> processors;
    for (unsigned i = 0; i < 2; ++i) {
        processors.emplace_back([&] {
            while (!stop) network_->look();
        });
    }
    std::vector<std::byte> sent, received;
    for (unsigned i = 0; i < 200 && !HasFailure(); ++i) {
        const auto part = to_bytes(std::to_string(i) + ".");
        ASSERT_EQ(write(peer.get(), part.data(), part.size()), static_cast<ssize_t>(part.size()));
        sent.insert(sent.end(), part.begin(), part.end());
        while (received.size() < sent.size() && !HasFailure()) {
            const auto bytes = guest.accept(wait_tcp(40000));
            received.insert(received.end(), bytes.begin(), bytes.end());
            send(guest.make(kTcpAckFlag));
        }
    }
    stop = true;
    for (std::thread& each : processors) each.join();
    EXPECT_EQ(received, sent);
}

TEST_F(UserNetworkTest, TakesLongSegmentsWhole) {
    begin();
    learn_host();
    Listener server;
    GuestConnection guest(host_, server.port);
    send(guest.make(kTcpSyn));
    guest.accept(wait_tcp(40000));
    std::vector<std::byte> sent(30000);
    for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::byte>(i * 13 + (i >> 9));
    auto frame = guest.make(kTcpAckFlag, sent);
    make_checksum_partial(frame);
    FrameOffload offload;
    offload.needs_checksum = true;
    offload.checksum_start = 34;
    offload.checksum_offset = kTcpChecksum;
    offload.segmentation = FrameOffload::Segmentation::kTcp4;
    offload.segment_size = 1460;
    send(frame, offload);
    const Fd peer(accept(server.fd.get(), nullptr, nullptr));
    std::vector<std::byte> got(sent.size());
    ASSERT_EQ(recv(peer.get(), got.data(), got.size(), MSG_WAITALL),
              static_cast<ssize_t>(got.size()));
    EXPECT_EQ(got, sent);
}

TEST_F(UserNetworkTest, KeepsWhatTheCardHasNoRoomFor) {
    begin();
    learn_host();
    Listener server;
    GuestConnection guest(host_, server.port);
    send(guest.make(kTcpSyn));
    guest.accept(wait_tcp(40000));
    send(guest.make(kTcpAckFlag));
    const Fd peer(accept(server.fd.get(), nullptr, nullptr));
    sink_.set_room(0);
    std::vector<std::byte> sent(20000);
    for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::byte>(i * 13 + (i >> 9));
    ASSERT_EQ(write(peer.get(), sent.data(), sent.size()), static_cast<ssize_t>(sent.size()));
    std::vector<std::byte> received;
    while (received.size() < sent.size() && !HasFailure()) {
        sink_.set_room(1);  // a card with room for one frame at a time
        network_->receive_ready();
        const auto bytes = guest.accept(wait_tcp(40000));
        received.insert(received.end(), bytes.begin(), bytes.end());
        if (!bytes.empty()) send(guest.make(kTcpAckFlag));
    }
    EXPECT_EQ(received, sent);
}

TEST_F(UserNetworkTest, ForwardsAPortOfTheHost) {
    uint16_t port = 0;
    {
        Listener free_port;  // given back at once
        port = free_port.port;
    }
    UserNetworkOptions options;
    options.forwards.push_back({false, INADDR_LOOPBACK, port, 0, 2222});
    options.restricted = true;  // makes no difference to forwards
    begin(options);
    send(make_arp_request(kMac, kMe, UserNetwork::kHost));  // so that it knows us
    const Fd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    ASSERT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const auto syn = wait_tcp(2222);
    EXPECT_EQ(flags_of(syn), kTcpSyn);
}

TEST_F(UserNetworkTest, RestrictedReachesNobody) {
    UserNetworkOptions options;
    options.restricted = true;
    begin(options);
    learn_host();
    Listener server;
    GuestConnection guest(host_, server.port);
    send(guest.make(kTcpSyn));
    // The refusal, if any, and certainly no acceptance: ask something that is answered after it.
    send(make_arp_request(kMac, kMe, UserNetwork::kHost));
    bool arp_seen = false;
    while (!arp_seen) {
        const auto frame = sink_.take();
        ASSERT_TRUE(frame);
        arp_seen = load16(frame->bytes, kType) == kTypeArp;
        const auto headers = find_headers(frame->bytes);
        if (headers && headers->protocol == kProtocolTcp) {
            EXPECT_EQ(flags_of(frame->bytes) & kTcpSyn, 0);
        }
    }
}

TEST_F(UserNetworkTest, ServesFilesByTftp) {
    std::string path = (std::filesystem::temp_directory_path() / "mynah-tftp-XXXXXX").string();
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    std::ofstream(path + "/hello.txt") << "served";
    UserNetworkOptions options;
    options.tftp_directory = path;
    begin(options);
    learn_host();
    TcpPacket packet{kMac, host_, kMe, UserNetwork::kHost, 5000, 69, 0, 0, 0, {}};
    packet.payload = to_bytes(std::string_view("\0\1hello.txt\0octet\0", 18));
    send(make_udp4(packet));
    const auto reply = wait_for([](const auto& f) {
        const auto headers = find_headers(f);
        return headers && headers->protocol == kProtocolUdp;
    });
    const auto headers = find_headers(reply);
    EXPECT_EQ(load16(reply, headers->payload), 3);  // DATA [RFC 1350]
    EXPECT_EQ(std::memcmp(reply.data() + headers->payload + 4, "served", 6), 0);
    std::filesystem::remove_all(path);
}

TEST_F(UserNetworkTest, SaysWhatItCannotHave) {
    Listener taken;
    UserNetworkOptions options;
    options.forwards.push_back({false, INADDR_LOOPBACK, taken.port, 0, 22});
    const auto busy = UserNetwork::open(options, "--network user");
    ASSERT_FALSE(busy.ok());
    EXPECT_THAT(busy.error().message(),
                ::testing::HasSubstr("--network user: hostfwd=tcp:127.0.0.1"));
    options = {};
    options.tftp_directory = "/nonexistent";
    const auto missing = UserNetwork::open(options, "--network user");
    ASSERT_FALSE(missing.ok());
    EXPECT_THAT(missing.error().message(), ::testing::HasSubstr("tftp=/nonexistent"));
    options = {};
    options.mtu = 100;
    EXPECT_FALSE(UserNetwork::open(options, "--network user").ok());
}

TEST_F(UserNetworkTest, SurvivesAnyFrame) {
    begin();
    std::vector<std::byte> frame(2000);
    uint32_t state = 1;
    for (int round = 0; round < 2000; ++round) {
        for (std::byte& byte : frame) {
            state = state * 1664525 + 1013904223;
            byte = static_cast<std::byte>(state >> 24);
        }
        if (round % 4 != 0) store16(frame, kType, round % 8 == 1 ? kTypeIpv6 : kTypeIpv4);
        if (round % 4 != 0) frame[14] = round % 8 == 1 ? std::byte{0x60} : std::byte{0x45};
        const size_t size = kHeaderSize + state % (frame.size() - kHeaderSize);
        ASSERT_TRUE(transmit_one(*network_, std::span(frame).first(size)));
    }
    learn_host();
}

}  // namespace
}  // namespace mynah
