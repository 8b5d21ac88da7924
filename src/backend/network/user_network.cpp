#include "backend/network/user_network.h"

#include <fmt/core.h>
#include <malloc.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <list>
#include <thread>

#include "backend/network/ethernet.h"
#include "backend/network/frame_delivery.h"
#include "backend/network/segmentation.h"
#include "backend/network/slirp_poller.h"
#include "base/log.h"
#include "base/mutex.h"

namespace mynah {
namespace {

constexpr uint64_t kNever = ~uint64_t{0};
// How many frames a thread that is not ours hands over before it leaves the rest to ours.
constexpr size_t kGuestThreadLimit = 128;

// For each connection libslirp takes two buffers of 128 KiB and soon makes both a little larger. As
// mappings of their own they are moved without being copied, and cost no memory before there is data
// in them: a thousand connections are 256 MiB otherwise. Left to itself glibc would give up such
// mappings after the first that is freed [mallopt(3), M_MMAP_THRESHOLD].
void keep_large_buffers_mapped() {
    constexpr int kConnectionBuffer = 128 * 1024;
    mallopt(M_MMAP_THRESHOLD, kConnectionBuffer);
}

in_addr ipv4(uint32_t address) { return {htonl(address)}; }

uint64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

in6_addr ipv6(const char* text) {
    in6_addr address{};
    inet_pton(AF_INET6, text, &address);
    return address;
}

}  // namespace

// libslirp, its lock and its thread.
class UserNetwork::Stack {
  public:
    Stack() = default;
    ~Stack();

    Result<void> open(const UserNetworkOptions& options);
    void start();
    void set_sink(NetworkSink* sink) { delivery_.set_sink(sink); }
    void transmit(std::span<const NetworkFrame> frames) EXCLUDES(mutex_);
    void receive_ready();
    void look() EXCLUDES(mutex_);

  private:
    struct Timer {
        SlirpTimerId id;
        void* opaque;
        uint64_t deadline_ms = kNever;
    };
    static const SlirpCb& callbacks();
    SlirpConfig make_config(const UserNetworkOptions& options) const;
    Result<void> add_forward(const PortForward& forward);
    void input(const NetworkFrame& frame) REQUIRES(mutex_);
    void follow() REQUIRES(mutex_);
    void run_timers() REQUIRES(mutex_);
    void run();
    void wake();
    void deliver_from_guest();

    Mutex mutex_;  // libslirp is single-threaded
    Slirp* slirp_ GUARDED_BY(mutex_) = nullptr;
    SlirpPoller poller_ GUARDED_BY(mutex_);
    std::list<Timer> timers_ GUARDED_BY(mutex_);
    std::vector<std::byte> buffer_ GUARDED_BY(mutex_);
    int sockets_fd_ = -1, timer_fd_ = -1;
    FrameDelivery delivery_;
    LogLimit complaints_;
    Fd wake_;                             // eventfd: look again
    std::atomic<bool> throttled_{false};  // the thread waits for the card
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

// --- What libslirp calls, always under mutex_, which it cannot say.

const SlirpCb& UserNetwork::Stack::callbacks() {
    static const SlirpCb table = [] {
        SlirpCb calls{};
        calls.send_packet = [](const void* bytes, size_t size, void* opaque) -> ssize_t {
            auto& self = *static_cast<Stack*>(opaque);
            // What finds no room is lost, as libslirp expects.
            (void)self.delivery_.push(std::span(static_cast<const std::byte*>(bytes), size));
            return static_cast<ssize_t>(size);
        };
        calls.guest_error = [](const char* text, void* opaque) {
            if (static_cast<Stack*>(opaque)->complaints_.allow()) {
                log(LogLevel::kWarning, "user network: {}", text);
            }
        };
        calls.clock_get_ns = [](void*) { return static_cast<int64_t>(now_ns()); };
        calls.timer_new_opaque = [](SlirpTimerId id, void* timer_opaque, void* opaque)
                                     NO_THREAD_SAFETY_ANALYSIS -> void* {
            auto& timers = static_cast<Stack*>(opaque)->timers_;
            return &timers.emplace_back(Timer{id, timer_opaque, kNever});
        };
        calls.timer_free = [](void* timer, void* opaque) NO_THREAD_SAFETY_ANALYSIS {
            static_cast<Stack*>(opaque)->timers_.remove_if(
                [timer](const Timer& each) { return &each == timer; });
        };
        calls.timer_mod = [](void* timer, int64_t deadline_ms, void*) {
            static_cast<Timer*>(timer)->deadline_ms = static_cast<uint64_t>(deadline_ms);
        };
        calls.register_poll_fd = [](int, void*) {};
        calls.unregister_poll_fd = [](int fd, void* opaque) NO_THREAD_SAFETY_ANALYSIS {
            static_cast<Stack*>(opaque)->poller_.forget(fd);
        };
        calls.notify = [](void*) {};  // follow() comes after every call anyway
        return calls;
    }();
    return table;
}

SlirpConfig UserNetwork::Stack::make_config(const UserNetworkOptions& options) const {
    SlirpConfig config{};
    config.version = 4;
    config.restricted = options.restricted ? 1 : 0;
    config.in_enabled = true;
    config.vnetwork = ipv4(kHost & 0xffffff00);
    config.vnetmask = ipv4(0xffffff00);
    config.vhost = ipv4(kHost);
    config.vdhcp_start = ipv4(kGuest);
    config.vnameserver = ipv4(kNameServer);
    config.in6_enabled = true;
    config.vprefix_addr6 = ipv6("fec0::");
    config.vprefix_len = 64;
    config.vhost6 = ipv6("fec0::2");
    config.vnameserver6 = ipv6("fec0::3");
    if (!options.tftp_directory.empty()) config.tftp_path = options.tftp_directory.c_str();
    if (!options.boot_file.empty()) config.bootfile = options.boot_file.c_str();
    config.if_mtu = options.mtu;
    config.if_mru = kMaxMtu;
    return config;
}

Result<void> UserNetwork::Stack::open(const UserNetworkOptions& options) {
    MutexLock lock(mutex_);
    if (!options.tftp_directory.empty()) {
        struct stat status {};
        if (stat(options.tftp_directory.c_str(), &status) != 0) {
            return Error(fmt::format("tftp={}: {}", options.tftp_directory, std::strerror(errno)));
        }
        if (!S_ISDIR(status.st_mode)) {
            return Error(
                fmt::format("tftp={}: not a directory; expected one", options.tftp_directory));
        }
    }
    if (options.mtu < kMinMtu || options.mtu > kMaxMtu) {
        return Error(fmt::format("mtu={}: expected {} to {}", options.mtu, kMinMtu, kMaxMtu));
    }
    TRY(SlirpPoller::open(poller_));
    wake_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_.valid()) return Error(std::strerror(errno));
    buffer_.resize(ethernet::kMaxSuperFrame);
    keep_large_buffers_mapped();
    const SlirpConfig config = make_config(options);
    slirp_ = slirp_new(&config, &callbacks(), this);
    if (slirp_ == nullptr) return Error("libslirp refused its configuration");
    for (const PortForward& forward : options.forwards) TRY(add_forward(forward));
    sockets_fd_ = poller_.sockets_fd();
    timer_fd_ = poller_.timer_fd();
    follow();
    return {};
}

Result<void> UserNetwork::Stack::add_forward(const PortForward& forward) NO_THREAD_SAFETY_ANALYSIS {
    if (slirp_add_hostfwd(slirp_, forward.udp ? 1 : 0, ipv4(forward.host_address),
                          forward.host_port, ipv4(forward.guest_address),
                          forward.guest_port) >= 0) {
        return {};
    }
    const int error = errno;
    char address[INET_ADDRSTRLEN];
    const in_addr host = ipv4(forward.host_address);
    inet_ntop(AF_INET, &host, address, sizeof address);
    return Error(fmt::format("hostfwd={}:{}:{}: {}", forward.udp ? "udp" : "tcp", address,
                             forward.host_port, std::strerror(error)));
}

void UserNetwork::Stack::start() {
    thread_ = std::thread([this] { run(); });
}

UserNetwork::Stack::~Stack() {
    if (thread_.joinable()) {
        stop_ = true;
        wake();
        thread_.join();
    }
    MutexLock lock(mutex_);
    if (slirp_ != nullptr) slirp_cleanup(slirp_);
}

void UserNetwork::Stack::wake() {
    const uint64_t one = 1;
    // Full means that a wake-up is due already.
    (void)!write(wake_.get(), &one, sizeof one);
}

// --- From the guest, on its threads.

void UserNetwork::Stack::input(const NetworkFrame& frame) {
    if (!gather_frame(frame, buffer_)) return;
    const auto bytes = std::span(buffer_).first(frame.size);
    const auto take = [slirp = slirp_](std::span<const std::byte> out) {
        slirp_input(slirp, reinterpret_cast<const uint8_t*>(out.data()),
                    static_cast<int>(out.size()));
    };
    // Segments of any size are welcome, but their checksum is looked at. Datagrams are as long as
    // they are meant to be.
    if (frame.offload.segmentation == FrameOffload::Segmentation::kUdp)
        return complete_frame(bytes, frame.offload, take);
    if (frame.offload.needs_checksum) complete_checksum(bytes, frame.offload);
    take(bytes);
}

void UserNetwork::Stack::transmit(std::span<const NetworkFrame> frames) {
    {
        MutexLock lock(mutex_);
        for (const NetworkFrame& frame : frames) input(frame);
        follow();
    }
    deliver_from_guest();
}

void UserNetwork::Stack::deliver_from_guest() {
    const bool more = delivery_.deliver(kGuestThreadLimit);
    if (more || (throttled_ && delivery_.waiting() < FrameDelivery::kEnough)) wake();
}

void UserNetwork::Stack::receive_ready() {
    delivery_.ready();
    deliver_from_guest();
}

// The thread, which is woken too, finds nothing left to do.
void UserNetwork::Stack::look() {
    pollfd sockets{sockets_fd_, POLLIN, 0};
    if (throttled_ || poll(&sockets, 1, 0) <= 0) return;
    {
        MutexLock lock(mutex_);
        poller_.poll(slirp_);
        follow();
    }
    deliver_from_guest();
}

// --- From the host's sockets, on our thread.

void UserNetwork::Stack::follow() {
    uint64_t deadline = kNever;
    for (const Timer& timer : timers_) deadline = std::min(deadline, timer.deadline_ms);
    poller_.follow(slirp_, now_ns() / 1'000'000, deadline);
}

void UserNetwork::Stack::run_timers() {
    const uint64_t now_ms = now_ns() / 1'000'000;
    std::vector<Timer> due;  // a copy: their callbacks change the list
    for (Timer& timer : timers_) {
        if (timer.deadline_ms > now_ms) continue;
        timer.deadline_ms = kNever;
        due.push_back(timer);
    }
    for (const Timer& timer : due) slirp_handle_timer(slirp_, timer.id, timer.opaque);
}

void UserNetwork::Stack::run() {
    while (!stop_) {
        const bool throttled = delivery_.waiting() >= FrameDelivery::kEnough;
        throttled_ = throttled;
        // The last frame may have gone between the two lines.
        if (throttled && delivery_.waiting() < FrameDelivery::kEnough) continue;
        pollfd fds[] = {{wake_.get(), POLLIN, 0}, {timer_fd_, POLLIN, 0}, {sockets_fd_, POLLIN, 0}};
        if (poll(fds, throttled ? 2 : 3, -1) < 0 && errno != EINTR) {
            log(LogLevel::kError, "user network: poll: {}; it stops", std::strerror(errno));
            return;
        }
        if ((fds[0].revents & POLLIN) != 0) {
            uint64_t count;
            (void)!read(wake_.get(), &count, sizeof count);
        }
        {
            MutexLock lock(mutex_);
            run_timers();
            if (!throttled || fds[1].revents != 0) {
                poller_.poll(slirp_);
                follow();
            }
        }
        while (!stop_ && delivery_.deliver(FrameDelivery::kMostWaiting)) {
        }
    }
}

// --- The backend.

UserNetwork::UserNetwork(std::unique_ptr<Stack> stack) : stack_(std::move(stack)) {}
UserNetwork::~UserNetwork() = default;

Result<std::unique_ptr<UserNetwork>> UserNetwork::open(const UserNetworkOptions& options,
                                                       const std::string& origin) {
    auto stack = std::make_unique<Stack>();
    const Result<void> opened = stack->open(options);
    if (!opened) return Error(fmt::format("{}: {}", origin, opened.error().message()));
    stack->start();
    return std::unique_ptr<UserNetwork>(new UserNetwork(std::move(stack)));
}

void UserNetwork::set_sink(NetworkSink* sink) { stack_->set_sink(sink); }
size_t UserNetwork::transmit(std::span<const NetworkFrame> frames) {
    stack_->transmit(frames);
    return frames.size();
}
void UserNetwork::receive_ready() { stack_->receive_ready(); }
void UserNetwork::look() { stack_->look(); }

}  // namespace mynah
