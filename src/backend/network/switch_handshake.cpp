#include "backend/network/switch_handshake.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <vector>

#include "backend/network/ethernet.h"
#include "backend/network/stream_framing.h"

namespace mynah {
namespace {

// A switch may have others to greet first.
constexpr std::chrono::milliseconds kPortPatience(3000);

Result<void> send_text(int socket, const std::string& text, const GreetingLimit& limit) {
    std::vector<std::byte> bytes(StreamFraming::kPrefix + text.size());
    ethernet::store32(bytes, 0, static_cast<uint32_t>(text.size()));
    std::memcpy(bytes.data() + StreamFraming::kPrefix, text.data(), text.size());
    std::span<const std::byte> rest(bytes);
    while (!rest.empty()) {
        const ssize_t sent = send(socket, rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            rest = rest.subspan(static_cast<size_t>(sent));
        } else if (sent < 0 && errno == EAGAIN) {
            TRY(limit.wait_for(socket, POLLOUT));
        } else if (sent < 0 && errno != EINTR) {
            return Error(std::strerror(errno));
        }
    }
    return {};
}

// Not a byte more than the text: frames may follow.
Result<void> receive_exactly(int socket, std::span<std::byte> to,
                             const GreetingLimit& limit) {
    while (!to.empty()) {
        const ssize_t got = recv(socket, to.data(), to.size(), MSG_DONTWAIT);
        if (got > 0) {
            to = to.subspan(static_cast<size_t>(got));
        } else if (got == 0) {
            return Error("the other side hung up");
        } else if (errno == EAGAIN) {
            TRY(limit.wait_for(socket, POLLIN));
        } else if (errno != EINTR) {
            return Error(std::strerror(errno));
        }
    }
    return {};
}

Result<std::string> receive_text(int socket, const GreetingLimit& limit) {
    std::array<std::byte, StreamFraming::kPrefix> prefix;
    TRY(receive_exactly(socket, prefix, limit));
    const uint32_t size = ethernet::load32(prefix, 0);
    if (size > SwitchGreeting::kMaxSize) return Error("the other side is no mynah switch");
    std::string text(size, '\0');
    TRY(receive_exactly(socket, std::as_writable_bytes(std::span(text)), limit));
    return text;
}

}  // namespace

Result<void> GreetingLimit::wait_for(int socket, short events) const {
    using std::chrono::milliseconds;
    const auto left = std::chrono::ceil<milliseconds>(until_ - std::chrono::steady_clock::now());
    if (left <= milliseconds::zero()) return Error("the other side says nothing");
    pollfd fds[] = {{socket, events, 0}, {stop_, POLLIN, 0}};
    if (poll(fds, std::size(fds), static_cast<int>(left.count())) < 0 && errno != EINTR)
        return Error(std::strerror(errno));
    if (fds[1].revents != 0) return Error("the switch ends");
    return {};
}

Result<void> greet_switch(int socket, const SwitchGreeting& greeting) {
    const std::string text = greeting.text();
    if (text.size() > SwitchGreeting::kMaxSize) return Error("trunk=: too many ranges of VLANs");
    const GreetingLimit limit(kPortPatience);
    TRY(send_text(socket, text, limit));
    const std::string refusal = TRY(receive_text(socket, limit));
    if (!refusal.empty()) return Error(refusal);
    return {};
}

Result<SwitchGreeting> receive_greeting(int socket, const GreetingLimit& limit) {
    return SwitchGreeting::parse(TRY(receive_text(socket, limit)));
}

Result<void> answer_greeting(int socket, const std::string& refusal,
                             const GreetingLimit& limit) {
    return send_text(socket, refusal.substr(0, SwitchGreeting::kMaxSize), limit);
}

}  // namespace mynah
