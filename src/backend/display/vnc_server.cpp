#include "backend/display/vnc_server.h"

#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "host/listen_socket.h"

namespace mynah {
namespace {

// After so many wrong passwords in a row, nobody may try for a while.
constexpr unsigned kWrongMost = 5;
constexpr std::chrono::seconds kWrongTime{10};
// How often connections that never get anywhere are looked for.
constexpr int kIdleTime = 5'000;

Result<void> check_exposure(const VncOptions& options, const VncOptions::Tcp& tcp) {
    if (options.password || is_loopback(tcp.address)) return {};
    return Error(
        fmt::format("{}: {} can be reached from other hosts; set a password, or listen on "
                    "127.0.0.1 or a Unix socket",
                    options.origin, tcp.address));
}

Result<void> check_page(const VncOptions& options) {
    const std::string page = options.web_root + "/vnc.html";
    if (access(page.c_str(), R_OK) == 0) return {};
    return Error(
        fmt::format("{}: web=on needs noVNC's page, and {} is not there (Debian package "
                    "novnc)",
                    options.origin, page));
}

}  // namespace

Result<std::unique_ptr<VncServer>> VncServer::start(VncOptions options, Screen& screen,
                                                    InputSink& input) {
    std::vector<Listener> listeners;
    if (options.password && options.password->empty()) {
        return Error(fmt::format("{}: the password is empty", options.origin));
    }
    if (options.tcp) {
        TRY(check_exposure(options, *options.tcp));
        listeners.push_back(
            {TRY(listen_tcp(options.tcp->address, options.tcp->port, options.origin)), false});
    }
    if (options.web) {
        TRY(check_exposure(options, *options.web));
        TRY(check_page(options));
        listeners.push_back(
            {TRY(listen_tcp(options.web->address, options.web->port, options.origin)), true});
    }
    // Last, so that no path is left behind by an error.
    if (!options.unix_path.empty()) {
        listeners.push_back({TRY(listen_unix(options.unix_path, options.origin)), false});
    }
    if (listeners.empty()) {
        return Error(fmt::format("{}: expected a port or a path to listen at", options.origin));
    }
    return std::unique_ptr<VncServer>(
        new VncServer(std::move(options), screen, input, std::move(listeners)));
}

VncServer::VncServer(VncOptions options, Screen& screen, InputSink& input,
                     std::vector<Listener> listeners)
    : options_(std::move(options)),
      screen_(screen),
      input_(input),
      listeners_(std::move(listeners)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      page_(options_.web_root) {
    CHECK(wake_.valid());
    for (const Listener& listener : listeners_) {
        (listener.web ? web_port_ : port_) |= port_of(listener.fd);
    }
    settings_.name = options_.name;
    settings_.resize = [this](uint32_t width, uint32_t height) {
        return screen_.request_size(width, height);
    };
    settings_.password = options_.password;
    settings_.may_try = [this] { return may_try_password(); };
    settings_.tried = [this](bool passed) { tried_password(passed); };
    if (options_.clipboard) settings_.clipboard = options_.clipboard;
    screen_.add(*this);
    thread_ = std::thread([this] { run(); });
}

VncServer::~VncServer() {
    stop_ = true;
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
    thread_.join();
    screen_.remove(*this);
    if (!options_.unix_path.empty()) unlink(options_.unix_path.c_str());
}

// --- From other threads.

void VncServer::changed(const Surface& surface, std::span<const Rect> rects) {
    MutexLock lock(mutex_);
    damage_.resize(surface.width(), surface.height());
    for (const Rect& rect : rects) damage_.add(rect);
}

void VncServer::send_clipboard(std::string text) {
    {
        MutexLock lock(mutex_);
        texts_.assign(1, std::move(text));  // only the latest counts
    }
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
}

// --- The thread.

bool VncServer::may_try_password() const { return Clock::now() >= password_from_; }

void VncServer::tried_password(bool passed) {
    wrong_passwords_ = passed ? 0 : wrong_passwords_ + 1;
    if (wrong_passwords_ < kWrongMost) return;
    wrong_passwords_ = 0;
    password_from_ = Clock::now() + kWrongTime;
}

std::unique_ptr<RfbSession> VncServer::make_session() {
    screen_.refresh();
    uint32_t width = 0, height = 0;
    screen_.look([&](const Surface& surface) {
        width = surface.width();
        height = surface.height();
    });
    return std::make_unique<RfbSession>(settings_, input_, std::max(width, 1u),
                                        std::max(height, 1u));
}

void VncServer::accept_from(const Listener& listener) {
    Fd client(accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client.valid() || connections_.size() >= kConnectionsMost) return;
    const int one = 1;
    setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connections_.emplace_back(std::move(client), listener.web ? &page_ : nullptr,
                              [this] { return make_session(); });
}

int VncServer::poll_time(Clock::time_point now) const {
    if (watched_) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(next_refresh_ - now);
        return static_cast<int>(std::clamp<int64_t>(left.count(), 0, kRefreshTime.count()));
    }
    return connections_.empty() ? -1 : kIdleTime;
}

void VncServer::run() {
    while (!stop_) {
        std::vector<pollfd> sources{{wake_.get(), POLLIN, 0}};
        for (const Listener& listener : listeners_)
            sources.push_back({listener.fd.get(), POLLIN, 0});
        for (const VncConnection& connection : connections_) {
            const int events = (connection.wants_to_read() ? POLLIN : 0) |
                               (connection.wants_to_write() ? POLLOUT : 0);
            sources.push_back({connection.fd(), static_cast<short>(events), 0});
        }
        const size_t served = connections_.size();
        if (poll(sources.data(), sources.size(), poll_time(Clock::now())) < 0) continue;
        if ((sources[0].revents & POLLIN) != 0) {
            uint64_t count = 0;
            [[maybe_unused]] const ssize_t got = read(wake_.get(), &count, sizeof count);
            send_texts();
        }
        std::vector<short> events;
        for (size_t i = 0; i < served; ++i) {
            events.push_back(sources[1 + listeners_.size() + i].revents);
        }
        serve(events);
        for (size_t i = 0; i < listeners_.size(); ++i) {
            if (sources[1 + i].revents != 0) accept_from(listeners_[i]);
        }
        if (watched_ && Clock::now() >= next_refresh_) refresh();
    }
    connections_.clear();  // releases what viewers held down
}

// One entry for each of the first connections; those after them are new.
void VncServer::serve(const std::vector<short>& events) {
    const Clock::time_point now = Clock::now();
    auto at = connections_.begin();
    for (const short event : events) {
        bool open = !at->is_overdue(now);
        if (open && (event & POLLOUT) != 0) open = at->write_some();
        if (open && (event & (POLLIN | POLLHUP | POLLERR)) != 0) open = at->read_some();
        at = open ? std::next(at) : connections_.erase(at);
    }
    size_t viewers = 0;
    bool watched = false;
    for (VncConnection& connection : connections_) {
        RfbSession* const session = connection.session();
        if (session == nullptr || !session->ready()) continue;
        ++viewers;
        watched |= session->wants_update() && connection.is_drained();
    }
    viewers_ = viewers;
    if (watched && !watched_) next_refresh_ = std::max(next_refresh_, now);
    watched_ = watched;
}

// Draws, and sends every viewer that waits what it has not seen.
void VncServer::refresh() {
    const Clock::time_point begin = Clock::now();
    screen_.refresh();
    Damage damage;
    {
        MutexLock lock(mutex_);
        damage = damage_;
        damage_.clear();
    }
    for (VncConnection& connection : connections_) {
        if (connection.session() != nullptr && damage.width() > 0) {
            connection.session()->add(damage);
        }
    }
    screen_.look([&](const Surface& surface) {
        for (VncConnection& connection : connections_) {
            if (connection.session() == nullptr || !connection.is_drained()) continue;
            connection.session()->update(surface);
            connection.take_output();
        }
    });
    for (auto at = connections_.begin(); at != connections_.end();) {
        at = !at->wants_to_write() || at->write_some() ? std::next(at) : connections_.erase(at);
    }
    // Pictures that are slow to send take no more than half of a processor.
    const Clock::time_point end = Clock::now();
    next_refresh_ = std::max(begin + kRefreshTime, end + (end - begin));
}

void VncServer::send_texts() {
    std::vector<std::string> texts;
    {
        MutexLock lock(mutex_);
        texts.swap(texts_);
    }
    for (VncConnection& connection : connections_) {
        if (connection.session() == nullptr) continue;
        for (const std::string& text : texts) connection.session()->send_text(text);
        connection.take_output();
    }
}

}  // namespace mynah
