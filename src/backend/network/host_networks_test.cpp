// Back ends over descriptors of the host: tap, stream and datagram sockets, and the recorder.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "backend/network/datagram_network.h"
#include "backend/network/ethernet.h"
#include "backend/network/net_header.h"
#include "backend/network/no_network.h"
#include "backend/network/pcap_recorder.h"
#include "backend/network/segmentation.h"
#include "backend/network/stream_framing.h"
#include "backend/network/stream_network.h"
#include "backend/network/tap_network.h"
#include "backend/network/unix_address.h"
#include "base/bits.h"
#include "testing/packet_builder.h"
#include "testing/recording_network_sink.h"
#include "testing/scripted_network_backend.h"

namespace mynah {
namespace {

using namespace ethernet;
using namespace testing;
using ::testing::HasSubstr;

constexpr MacAddress kA{{0x52, 0x54, 0, 0, 0, 1}}, kB{{0x52, 0x54, 0, 0, 0, 2}};

class TemporaryFolder {
  public:
    TemporaryFolder() {
        path_ = (std::filesystem::temp_directory_path() / "mynah-net-XXXXXX").string();
        if (mkdtemp(path_.data()) == nullptr) ADD_FAILURE();
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path_); }
    std::string file(const char* name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

FrameOffload tcp_offload(uint16_t segment) {
    FrameOffload offload;
    offload.needs_checksum = true;
    offload.checksum_start = 34;
    offload.checksum_offset = kTcpChecksum;
    if (segment > 0) offload.segmentation = FrameOffload::Segmentation::kTcp4;
    offload.segment_size = segment;
    return offload;
}
std::vector<std::byte> long_packet(size_t payload) {
    TcpPacket packet{kA, kB, 1, 2, 3, 4, 5, 6, 0x10, std::vector<std::byte>(payload)};
    auto frame = make_tcp4(packet);
    make_checksum_partial(frame);
    return frame;
}

// --- Framing.

TEST(StreamFramingTest, FindsFramesHoweverTheyAreCut) {
    std::vector<std::byte> stream;
    std::vector<std::vector<std::byte>> sent;
    for (const size_t size : {60, 14, 1514, 65000}) {
        sent.push_back(make_frame(kA, kB, size));
        stream.resize(stream.size() + 4);
        store32(stream, stream.size() - 4, static_cast<uint32_t>(size));
        stream.insert(stream.end(), sent.back().begin(), sent.back().end());
    }
    for (const size_t step : {size_t{1}, size_t{3}, size_t{1000}, stream.size()}) {
        StreamFraming framing;
        std::vector<std::vector<std::byte>> got;
        for (std::span<const std::byte> rest = stream; !rest.empty();) {
            const size_t part = std::min(step, rest.size());
            ASSERT_TRUE(framing.take(rest.first(part), [&](std::span<const std::byte> frame) {
                got.emplace_back(frame.begin(), frame.end());
            }));
            rest = rest.subspan(part);
        }
        EXPECT_EQ(got, sent);
    }
}

TEST(StreamFramingTest, RefusesALengthNoFrameHas) {
    StreamFraming framing;
    std::array<std::byte, 4> prefix{};
    store32(prefix, 0, static_cast<uint32_t>(kMaxSuperFrame + 1));
    const auto none = [](std::span<const std::byte>) { FAIL(); };
    EXPECT_FALSE(framing.take(prefix, none));
    EXPECT_FALSE(framing.take(prefix, none));
}

// --- Stream.

class StreamTest : public ::testing::Test {
  protected:
    void connect_both() {
        server_ = StreamNetwork::listen(path_, "--network stream").take_value();
        server_->set_sink(&server_sink_);
        auto client = StreamNetwork::connect(path_, "--network stream");
        ASSERT_TRUE(client.ok()) << client.error().message();
        client_ = client.take_value();
        client_->set_sink(&client_sink_);
        ASSERT_TRUE(server_sink_.wait_link(true));
    }
    TemporaryFolder folder_;
    std::string path_ = folder_.file("cable");
    RecordingNetworkSink server_sink_, client_sink_;
    std::unique_ptr<StreamNetwork> server_, client_;
};

TEST_F(StreamTest, CarriesFramesBothWays) {
    connect_both();
    EXPECT_TRUE(server_->link_up());
    for (uint8_t i = 0; i < 50; ++i) {
        auto frame = make_frame(kB, kA, 60 + i * size_t{20}, i);
        ASSERT_TRUE(transmit_one(*client_, frame));
        EXPECT_EQ(server_sink_.take()->bytes, frame);
        ASSERT_TRUE(transmit_one(*server_, frame));
        EXPECT_EQ(client_sink_.take()->bytes, frame);
    }
}

TEST_F(StreamTest, SendsCompleteFrames) {
    connect_both();
    auto packet = long_packet(3000);
    ASSERT_TRUE(transmit_one(*client_, packet, tcp_offload(1000)));
    for (int i = 0; i < 3; ++i) {
        const auto frame = server_sink_.take();
        EXPECT_EQ(frame->bytes.size(), 54u + 1000);
        EXPECT_TRUE(checksums_good(frame->bytes));
    }
}

TEST_F(StreamTest, HoldsBackAndGoesOn) {
    connect_both();
    server_sink_.set_room(0);
    auto frame = make_frame(kB, kA, 60000);
    constexpr unsigned kMost = 100000;
    unsigned sent = 0;
    while (sent < kMost && transmit_one(*client_, frame)) ++sent;
    ASSERT_LT(sent, kMost) << "nothing holds back a sender whose peer does not read";
    server_sink_.set_room(~size_t{0});
    server_->receive_ready();
    EXPECT_TRUE(client_sink_.wait_transmit_ready(1));
    for (unsigned i = 0; i < sent; ++i) ASSERT_EQ(server_sink_.take()->bytes, frame);
}

TEST_F(StreamTest, NoticesThatThePeerLeavesAndReturns) {
    connect_both();
    server_.reset();
    EXPECT_TRUE(client_sink_.wait_link(false));
    auto frame = make_frame(kB, kA, 60);
    EXPECT_TRUE(transmit_one(*client_, frame));  // into the void
    server_ = StreamNetwork::listen(path_, "--network stream").take_value();
    server_->set_sink(&server_sink_);
    EXPECT_TRUE(client_sink_.wait_link(true));
    ASSERT_TRUE(transmit_one(*client_, frame));
    EXPECT_EQ(server_sink_.take()->bytes, frame);
}

TEST_F(StreamTest, DropsAPeerThatSendsNoFrames) {
    connect_both();
    client_->set_sink(nullptr);
    client_.reset();
    ASSERT_TRUE(server_sink_.wait_link(false));
    {
        const Fd garbage(connect_unix_socket(path_, SOCK_STREAM, "").take_value());
        ASSERT_TRUE(server_sink_.wait_link(true));
        ASSERT_EQ(write(garbage.get(), "GET / HTTP/1.1\r\n", 16), 16);
        EXPECT_TRUE(server_sink_.wait_link(false));
    }
    client_ = StreamNetwork::connect(path_, "").take_value();  // the next one is welcome
    client_->set_sink(&client_sink_);
    EXPECT_TRUE(server_sink_.wait_link(true));
}

TEST_F(StreamTest, SaysWhatItCannotHave) {
    const auto missing = StreamNetwork::connect(path_, "--network stream=x");
    ASSERT_FALSE(missing.ok());
    EXPECT_THAT(missing.error().message(), HasSubstr("--network stream=x: " + path_));
    std::ofstream(path_) << "a file";
    EXPECT_FALSE(StreamNetwork::listen(path_, "").ok());
    EXPECT_TRUE(std::filesystem::is_regular_file(path_));
    EXPECT_FALSE(StreamNetwork::listen(std::string(200, 'x'), "").ok());
}

// --- Datagrams.

TEST(DatagramNetworkTest, CarriesFramesBothWays) {
    const TemporaryFolder folder;
    const std::string a_path = folder.file("a"), b_path = folder.file("b");
    RecordingNetworkSink a_sink, b_sink;
    auto a = DatagramNetwork::open(a_path, b_path, "").take_value();
    a->set_sink(&a_sink);
    auto frame = make_frame(kB, kA, 1000);
    EXPECT_TRUE(transmit_one(*a, frame));  // nobody is there
    auto b = DatagramNetwork::open(b_path, a_path, "").take_value();
    b->set_sink(&b_sink);
    ASSERT_TRUE(transmit_one(*a, frame));
    EXPECT_EQ(b_sink.take()->bytes, frame);
    ASSERT_TRUE(transmit_one(*b, frame));
    EXPECT_EQ(a_sink.take()->bytes, frame);

    b->set_sink(nullptr);
    b.reset();
    EXPECT_TRUE(transmit_one(*a, frame));
    b = DatagramNetwork::open(b_path, a_path, "").take_value();
    b->set_sink(&b_sink);
    ASSERT_TRUE(transmit_one(*a, frame));  // it has come back
    EXPECT_EQ(b_sink.take()->bytes, frame);
}

TEST(DatagramNetworkTest, HoldsBackAndGoesOn) {
    const TemporaryFolder folder;
    const std::string a_path = folder.file("a"), b_path = folder.file("b");
    RecordingNetworkSink a_sink, b_sink;
    auto a = DatagramNetwork::open(a_path, b_path, "").take_value();
    auto b = DatagramNetwork::open(b_path, a_path, "").take_value();
    a->set_sink(&a_sink);
    b_sink.set_room(0);
    b->set_sink(&b_sink);
    auto frame = make_frame(kB, kA, 1000);
    constexpr unsigned kMost = 1000000;
    unsigned sent = 0;
    while (sent < kMost && transmit_one(*a, frame)) ++sent;
    ASSERT_LT(sent, kMost);
    b_sink.set_room(~size_t{0});
    b->receive_ready();
    EXPECT_TRUE(a_sink.wait_transmit_ready(1));
    for (unsigned i = 0; i < sent; ++i) ASSERT_EQ(b_sink.take()->bytes, frame);
}

// --- Tap, with a socket pair in place of the interface.

class TapTest : public ::testing::Test {
  protected:
    TapTest() {
        int fds[2];
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        host_ = Fd(fds[0]);
        tap_ = TapNetwork::over(Fd(fds[1]), "").take_value();
        tap_->set_sink(&sink_);
    }
    ~TapTest() override { tap_->set_sink(nullptr); }
    Fd host_;
    RecordingNetworkSink sink_;
    std::unique_ptr<TapNetwork> tap_;
};

TEST_F(TapTest, HandsOffloadsToTheHost) {
    auto packet = long_packet(3000);
    ASSERT_TRUE(transmit_one(*tap_, packet, tcp_offload(1000)));
    std::vector<std::byte> got(70000);
    got.resize(static_cast<size_t>(read(host_.get(), got.data(), got.size())));
    NetHeader header;
    ASSERT_EQ(got.size(), sizeof header + packet.size());
    std::memcpy(&header, got.data(), sizeof header);
    EXPECT_EQ(header.flags, kNetHeaderNeedsChecksum);
    EXPECT_EQ(header.gso_type, kNetGsoTcp4);
    EXPECT_EQ(header.gso_size, 1000);
    EXPECT_EQ(header.csum_start, 34);
    EXPECT_EQ(header.csum_offset, 16);
    got.erase(got.begin(), got.begin() + sizeof header);
    EXPECT_EQ(got, packet);
}

TEST_F(TapTest, CutsDatagramsThatTheHostCannot) {
    TcpPacket packet;
    packet.payload.resize(2500);
    FrameOffload offload = tcp_offload(1000);
    offload.checksum_offset = 6;
    offload.segmentation = FrameOffload::Segmentation::kUdp;
    auto frame = make_udp4(packet);
    ASSERT_TRUE(transmit_one(*tap_, frame, offload));
    for (const size_t payload : {1000u, 1000u, 500u}) {
        std::vector<std::byte> got(sizeof(NetHeader) + 4096);
        const ssize_t size = read(host_.get(), got.data(), got.size());
        ASSERT_EQ(size, static_cast<ssize_t>(sizeof(NetHeader) + 14 + 20 + 8 + payload));
        got.resize(static_cast<size_t>(size));
        got.erase(got.begin(), got.begin() + sizeof(NetHeader));
        EXPECT_TRUE(checksums_good(got));
    }
}

TEST_F(TapTest, TakesOffloadsFromTheHost) {
    auto packet = long_packet(100);
    const NetHeader header = to_net_header(tcp_offload(0), 0);
    std::vector<std::byte> bytes(sizeof header);
    std::memcpy(bytes.data(), &header, sizeof header);
    bytes.insert(bytes.end(), packet.begin(), packet.end());
    ASSERT_EQ(write(host_.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    const auto frame = sink_.take();
    EXPECT_EQ(frame->bytes, packet);
    EXPECT_TRUE(frame->offload.needs_checksum);
    EXPECT_EQ(frame->offload.checksum_start, 34);
    // What says nonsense is dropped, and what follows it arrives.
    NetHeader bad = header;
    bad.csum_start = 0xffff;
    std::memcpy(bytes.data(), &bad, sizeof bad);
    ASSERT_GT(write(host_.get(), bytes.data(), bytes.size()), 0);
    ASSERT_GT(write(host_.get(), bytes.data(), 5), 0);
    bytes.assign(sizeof(NetHeader), std::byte{0});
    const auto plain = make_frame(kA, kB, 60);
    bytes.insert(bytes.end(), plain.begin(), plain.end());
    ASSERT_GT(write(host_.get(), bytes.data(), bytes.size()), 0);
    EXPECT_EQ(sink_.take()->bytes, plain);
}

TEST_F(TapTest, HoldsBackAndGoesOn) {
    auto frame = make_frame(kB, kA, 1000);
    constexpr unsigned kMost = 1000000;
    unsigned sent = 0;
    while (sent < kMost && transmit_one(*tap_, frame)) ++sent;
    ASSERT_LT(sent, kMost);
    std::vector<std::byte> got(2000);
    while (read(host_.get(), got.data(), got.size()) > 0) {
    }
    EXPECT_TRUE(sink_.wait_transmit_ready(1));
    EXPECT_TRUE(transmit_one(*tap_, frame));
}

TEST(TapNetworkTest, SaysWhatItCannotHave) {
    const auto long_name = TapNetwork::open("a-name-that-is-too-long", "--network tap=");
    ASSERT_FALSE(long_name.ok());
    EXPECT_THAT(long_name.error().message(), HasSubstr("--network tap=: expected"));
}

// --- Recorder.

TEST(PcapRecorderTest, WritesWhatPasses) {
    const TemporaryFolder folder;
    const std::string path = folder.file("out.pcap");
    auto made = std::make_unique<ScriptedNetworkBackend>();
    ScriptedNetworkBackend& inner = *made;
    RecordingNetworkSink sink;
    auto out = make_frame(kB, kA, 60, 1), in = make_frame(kA, kB, 100, 2);
    {
        auto recorder = PcapRecorder::open(std::move(made), path, "").take_value();
        recorder->set_sink(&sink);
        ASSERT_TRUE(transmit_one(*recorder, out));
        EXPECT_TRUE(inner.deliver(in));
        sink.set_room(0);
        EXPECT_FALSE(inner.deliver(in));  // refused, so not written
        EXPECT_EQ(inner.take_sent().size(), 1u);
    }
    EXPECT_EQ(sink.take()->bytes, in);
    std::ifstream file(path, std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    ASSERT_EQ(content.size(), 24 + 16 + 60 + 16 + 100u);
    EXPECT_EQ(load_unaligned<uint32_t>(content.data()), 0xa1b23c4du);
    EXPECT_EQ(load_unaligned<uint16_t>(content.data() + 4), 2);
    EXPECT_EQ(load_unaligned<uint16_t>(content.data() + 6), 4);
    EXPECT_EQ(load_unaligned<uint32_t>(content.data() + 20), 1u);
    EXPECT_EQ(load_unaligned<uint32_t>(content.data() + 24 + 8), 60u);
    EXPECT_EQ(std::memcmp(content.data() + 40, out.data(), 60), 0);
    EXPECT_EQ(std::memcmp(content.data() + 40 + 60 + 16, in.data(), 100), 0);
}

TEST(PcapRecorderTest, SaysWhatItCannotHave) {
    const auto bad =
        PcapRecorder::open(std::make_unique<NoNetwork>(), "/nonexistent/x", "--network");
    ASSERT_FALSE(bad.ok());
    EXPECT_THAT(bad.error().message(), HasSubstr("--network: pcap=/nonexistent/x: "));
}

// --- struct virtio_net_hdr.

TEST(NetHeaderTest, GoesThereAndBack) {
    const FrameOffload offload = tcp_offload(1000);
    FrameOffload back;
    ASSERT_TRUE(from_net_header(to_net_header(offload, 54), 1000, back));
    EXPECT_EQ(back.segment_size, 1000);
    EXPECT_EQ(back.checksum_start, 34);
    EXPECT_EQ(back.checksum_offset, 16);
    EXPECT_TRUE(back.needs_checksum);
    EXPECT_EQ(back.segmentation, FrameOffload::Segmentation::kTcp4);
}

TEST(NetHeaderTest, RefusesNonsense) {
    FrameOffload offload;
    const NetHeader good = to_net_header(tcp_offload(1000), 54);
    NetHeader header = good;
    EXPECT_FALSE(from_net_header(header, 51, offload));  // the field is not in the frame
    EXPECT_TRUE(from_net_header(header, 52, offload));
    header.gso_type = kNetGsoUdp;
    EXPECT_FALSE(from_net_header(header, 1000, offload));
    header.gso_type = kNetGsoUdpL4;
    ASSERT_TRUE(from_net_header(header, 1000, offload));
    EXPECT_EQ(offload.segmentation, FrameOffload::Segmentation::kUdp);
    EXPECT_EQ(to_net_header(offload, 0).gso_type, kNetGsoUdpL4);
    header.gso_type |= kNetGsoEcn;
    EXPECT_FALSE(from_net_header(header, 1000, offload));
    header = good;
    header.gso_size = 0;
    EXPECT_FALSE(from_net_header(header, 1000, offload));
    header = good;
    header.flags = 0;
    EXPECT_FALSE(from_net_header(header, 1000, offload));
}

}  // namespace
}  // namespace mynah
