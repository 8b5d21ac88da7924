#include "backend/network/virtual_switch.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <thread>

#include "backend/network/ethernet.h"
#include "backend/network/stream_network.h"
#include "backend/network/switch_handshake.h"
#include "backend/network/unix_address.h"
#include "testing/packet_builder.h"
#include "testing/scripted_network_backend.h"

namespace mynah {
namespace {

using namespace std::chrono_literals;
using testing::ScriptedNetworkBackend;

constexpr MacAddress kOne{{0x52, 0x54, 0, 0, 0, 1}};
constexpr MacAddress kAll{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

bool eventually(const std::function<bool()>& met) {
    for (unsigned i = 0; i < 1000; ++i) {
        if (met()) return true;
        std::this_thread::sleep_for(10ms);
    }
    return false;
}

// A switch on a thread of its own.
class VirtualSwitchTest : public ::testing::Test {
  protected:
    VirtualSwitchTest() {
        folder_ = (std::filesystem::temp_directory_path() / "mynah-switch-XXXXXX").string();
        EXPECT_NE(mkdtemp(folder_.data()), nullptr);
        path_ = folder_ + "/socket";
        switch_ = VirtualSwitch::open(path_, {}, "").take_value();
    }
    ~VirtualSwitchTest() override {
        end();
        switch_.reset();
        std::filesystem::remove_all(folder_);
    }
    void run() {
        thread_ = std::thread([this] { switch_->run(stop_); });
    }
    void end() {
        stop_.signal();
        if (thread_.joinable()) thread_.join();
    }
    Result<std::unique_ptr<StreamNetwork>> plug_in(SwitchPortRules rules = {}) {
        SwitchGreeting greeting;
        greeting.rules = rules;
        return StreamNetwork::connect(
            path_, "test", [greeting](int socket) { return greet_switch(socket, greeting); });
    }
    static void transmit(NetworkBackend& network, const std::vector<std::byte>& bytes) {
        const Slice piece{const_cast<std::byte*>(bytes.data()), bytes.size()};
        const NetworkFrame frame{{&piece, 1}, bytes.size(), {}};
        EXPECT_EQ(network.transmit({&frame, 1}), 1u);
    }

    std::string folder_, path_;
    std::unique_ptr<VirtualSwitch> switch_;
    EventFd stop_;
    std::thread thread_;
};

TEST_F(VirtualSwitchTest, AnUplinkStaysWhenItsPeerGoes) {
    auto made = std::make_unique<ScriptedNetworkBackend>();
    ScriptedNetworkBackend& uplink = *made;
    uplink.set_room(100);
    switch_->add_uplink(std::move(made), {});
    run();
    uplink.set_link(false);
    // Taken after the switch has looked for ports that are gone.
    auto port = plug_in();
    ASSERT_TRUE(port.ok());
    uplink.set_link(true);
    const auto frame = testing::make_frame(kAll, kOne, 60);
    EXPECT_TRUE(eventually([&] {
        transmit(*port.value(), frame);
        return !uplink.take_sent().empty();
    }));
}

TEST_F(VirtualSwitchTest, ATagForPriorityIsWrittenAnewOnATrunk) {
    SwitchPortRules trunk;
    ASSERT_TRUE(parse_trunk("all", trunk).ok());
    auto made = std::make_unique<ScriptedNetworkBackend>();
    ScriptedNetworkBackend& uplink = *made;
    uplink.set_room(100);
    switch_->add_uplink(std::move(made), trunk);
    run();
    SwitchPortRules access;
    access.vlan = 10;
    auto port = plug_in(access);
    ASSERT_TRUE(port.ok());
    auto frame = testing::make_frame(kAll, kOne, 64);
    ethernet::store16(frame, ethernet::kType, ethernet::kTypeVlan);
    ethernet::store16(frame, ethernet::kHeaderSize, 5 << 13);
    std::vector<testing::CapturedFrame> sent;
    ASSERT_TRUE(eventually([&] {
        transmit(*port.value(), frame);
        sent = uplink.take_sent();
        return !sent.empty();
    }));
    ethernet::store16(frame, ethernet::kHeaderSize, 5 << 13 | 10);
    EXPECT_EQ(sent.front().bytes, frame);
}

// Says what it is so slowly that it never ends.
TEST_F(VirtualSwitchTest, ASlowGreetingHoldsUpNobody) {
    run();
    std::atomic<bool> over{false};
    const auto drip = [&] {
        const Fd socket = connect_unix_socket(path_, SOCK_STREAM, "").take_value();
        const char prefix[] = {0, 0, 4, 0};
        (void)!send(socket.get(), prefix, sizeof prefix, MSG_NOSIGNAL);
        while (!over && send(socket.get(), "m", 1, MSG_NOSIGNAL) == 1)
            std::this_thread::sleep_for(50ms);
    };
    std::thread slow(drip);
    std::this_thread::sleep_for(100ms);
    EXPECT_TRUE(plug_in().ok());
    slow.join();  // the switch hung up
    std::thread slower(drip);
    std::this_thread::sleep_for(100ms);
    end();
    over = true;
    slower.join();
}

}  // namespace
}  // namespace mynah
