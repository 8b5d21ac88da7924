#include "backend/vhost/vhost_user_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace mynah {
namespace {

using namespace std::chrono_literals;

// A peer that always sends a little before the patience of a single wait ends.
TEST(VhostUserSocket, ADrippingPeerHasNoMoreTimeThanAnother) {
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    const Fd ours(pair[0]), theirs(pair[1]);
    std::atomic<bool> over{false};
    std::atomic<unsigned> sent{0};
    std::thread drip([&] {
        const vhost_user::Header header{1, vhost_user::kVersion, vhost_user::kMaxPayload};
        const auto* const bytes = reinterpret_cast<const char*>(&header);
        while (!over && sent < 1000) {
            const char byte = sent < sizeof header ? bytes[sent] : '\0';
            if (send(theirs.get(), &byte, 1, MSG_NOSIGNAL) != 1) break;
            ++sent;
            std::this_thread::sleep_for(10ms);
        }
    });
    VhostUserMessage message;
    EXPECT_FALSE(receive_vhost_user(ours.get(), message, 200).ok());
    EXPECT_LT(sent, vhost_user::kMaxPayload);
    over = true;
    drip.join();
}

}  // namespace
}  // namespace mynah
