#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "backend/vhost/shared_memory.h"
#include "backend/vhost/vhost_user_client.h"
#include "base/check.h"
#include "paravirt/vhost/driver_ring.h"
#include "testing/byte_feed.h"

namespace mynah {

// What a hostile back end answers, all of it sent before it was asked, with descriptors nobody
// wanted. Each answer of the input: request, flags, size, payload; the usual ones in short.
inline void send_fuzzed_answers(int socket, testing::ByteFeed& feed) {
    constexpr unsigned kMostAnswers = 64;
    const Fd unwanted(eventfd(0, EFD_CLOEXEC));
    for (unsigned i = 0; i < kMostAnswers && !feed.empty(); ++i) {
        const auto request = feed.take<uint8_t>();
        if (request == 0) return;  // the rest is for the rings
        const auto flags = feed.take<uint8_t>();
        std::vector<uint8_t> message(sizeof(vhost_user::Header));
        // As a rule an answer with a value.
        vhost_user::Header header{request, vhost_user::kVersion | vhost_user::kFlagReply, 8};
        if ((flags & 1) != 0) header.size = feed.take<uint16_t>();
        if ((flags & 2) != 0) header.flags = feed.take<uint8_t>();
        std::memcpy(message.data(), &header, sizeof header);
        // Its length may be a lie: then what follows is taken for the rest.
        const auto payload = feed.take_bytes(header.size % (vhost_user::kMaxPayload + 1));
        message.insert(message.end(), payload.begin(), payload.end());
        iovec part{message.data(), message.size()};
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
        msghdr head{};
        head.msg_iov = &part;
        head.msg_iovlen = 1;
        if ((flags & 4) != 0) {
            head.msg_control = control;
            head.msg_controllen = sizeof control;
            cmsghdr* const first = CMSG_FIRSTHDR(&head);
            first->cmsg_level = SOL_SOCKET;
            first->cmsg_type = SCM_RIGHTS;
            first->cmsg_len = CMSG_LEN(sizeof(int));
            const int fd = unwanted.get();
            std::memcpy(CMSG_DATA(first), &fd, sizeof fd);
        }
        if (sendmsg(socket, &head, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return;
    }
}

// A front end goes through all it ever asks; errors end it, as they end a connection.
inline Result<void> ask_fuzzed_back_end(Fd socket) {
    using namespace vhost_user;
    auto client = TRY(VhostUserClient::adopt(
        std::move(socket),
        kProtocolMq | kProtocolConfig | kProtocolMtu | kProtocolBackendReq | kProtocolResetDevice));
    std::array<std::byte, 60> config;
    if (client->has(kProtocolConfig)) {
        TRY(client->get_config(config));
        TRY(client->set_config(0, std::span(config).first(4)));
    }
    TRY(client->set_features(client->features()));
    if (client->has(kProtocolStatus)) {
        TRY(client->set_status(11));
        (void)TRY(client->get_status());
    }
    const auto memory = TRY(SharedMemory::create("fuzz", 1 << 16));
    const VhostRegion region{memory->fd(), 0, 0, memory->bytes().data(), memory->bytes().size()};
    TRY(client->set_memory({&region, 1}));
    if (client->has(kProtocolLogShmfd)) {
        const auto log = TRY(VhostLog::create(1 << 16));
        TRY(client->set_log(*log));
    }
    if (client->has(kProtocolMtu)) TRY(client->set_mtu(1500));
    const Fd kick(eventfd(0, EFD_CLOEXEC)), call(eventfd(0, EFD_CLOEXEC));
    const std::byte* const base = memory->bytes().data();
    TRY(client->start_ring(0, {8, 0, base, base + 0x200, base + 0x400, kick.get(), call.get()}));
    TRY(client->enable_ring(0, true));
    TRY(client->stop_ring(0));
    return client->reset();
}

// A back end that writes anything to the rings that it shares with a driver, at any moment.
inline void fuzz_driver_ring(testing::ByteFeed& feed) {
    constexpr uint16_t kEntries = 8;
    constexpr unsigned kMostSteps = 200;
    static const auto memory =
        SharedMemory::create("fuzz", DriverRing::memory_size(kEntries)).take_value();
    DriverRing ring(memory->bytes(), 0, kEntries);
    ring.restart((feed.take<uint8_t>() & 1) != 0);
    unsigned out = 0;
    std::vector<DriverRing::Piece> pieces;
    for (unsigned step = 0; step < kMostSteps && !feed.empty(); ++step) {
        const auto what = feed.take<uint8_t>();
        if ((what & 3) == 0) {
            pieces.assign(1 + (what >> 2) % 20, {0x1000, 16, (what & 0x80) != 0});
            if (!ring.possible(pieces.size()) || !ring.fits(pieces.size())) continue;
            CHECK(ring.add(pieces) < kEntries);
            ++out;
        } else if ((what & 3) == 1) {
            while (const auto used = ring.take_used()) {
                CHECK(used->id < kEntries && out > 0);  // never one more than are out
                --out;
            }
        } else {
            const size_t at = feed.take<uint16_t>() % memory->bytes().size();
            memory->bytes()[at] = static_cast<std::byte>(feed.take<uint8_t>());
        }
        (void)ring.wants_kick();
    }
}

inline void fuzz_vhost_client(testing::ByteFeed feed) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return;
    const Fd theirs(pair[1]);
    send_fuzzed_answers(theirs.get(), feed);
    ::shutdown(theirs.get(), SHUT_WR);  // nobody waits for more
    (void)ask_fuzzed_back_end(Fd(pair[0]));
    fuzz_driver_ring(feed);
}

}  // namespace mynah
