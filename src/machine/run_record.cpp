#include "machine/run_record.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>
#include <new>

#include "base/log.h"
#include "host/fd.h"

namespace mynah {
namespace {

constexpr uint64_t kMagic = 0x324452434e594d;  // "MYNCRD2"

// The last bytes of a stream. Writers take their places by one addition; two that write at once
// leave both texts whole unless one is a whole ring behind.
template <size_t kBytes>
struct Ring {
    std::atomic<uint64_t> written{0};
    std::array<char, kBytes> bytes{};

    void add(std::string_view text) {
        if (text.size() > kBytes) text.remove_prefix(text.size() - kBytes);
        uint64_t at = written.fetch_add(text.size(), std::memory_order_relaxed);
        for (const char c : text) bytes[at++ % kBytes] = c;
    }
    std::string last() const {
        const uint64_t end = written.load(), count = std::min<uint64_t>(end, kBytes);
        std::string text;
        for (uint64_t at = end - count; at != end; ++at) text += bytes[at % kBytes];
        return text;
    }
};

template <size_t kBytes>
void put(std::array<char, kBytes>& to, std::string_view text) {
    const size_t count = std::min(text.size(), kBytes - 1);
    std::copy_n(text.data(), count, to.data());
    to[count] = '\0';
}

template <size_t kBytes>
std::string get(const std::array<char, kBytes>& from) {
    return std::string(from.begin(), std::find(from.begin(), from.end(), '\0'));
}

// Something that is followed while it is there.
template <typename What>
struct Place {
    std::atomic<uint8_t> taken{0};
    std::array<char, 64> name{};
    What what;
};

template <typename Places>
auto* take_place(Places& places, std::string_view name) {
    for (auto& place : places) {
        if (place.taken != 0) continue;
        // What an earlier one left there, for the few that are taken out and put in again.
        std::destroy_at(&place.what);
        std::construct_at(&place.what);
        put(place.name, name);
        place.taken = 1;
        return &place.what;
    }
    return decltype(&places[0].what){nullptr};
}

template <typename Places, typename What>
void free_place(Places& places, const What* what) {
    for (auto& place : places) {
        if (&place.what == what) place.taken = 0;
    }
}

uint64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

std::atomic<RunRecord*> watching{nullptr};
std::atomic<std::atomic<int>*> signal_place{nullptr};

// Not SIGFPE: the engine takes that for the guest.
constexpr std::array kFatal{SIGSEGV, SIGBUS, SIGILL, SIGABRT};
std::array<struct sigaction, kFatal.size()> before;

// Async-signal-safe. SA_RESETHAND put the default back; what was there before (the terminal's)
// goes first.
void on_fatal(int number) {
    if (std::atomic<int>* const place = signal_place; place != nullptr) *place = number;
    for (size_t i = 0; i < kFatal.size(); ++i) {
        const auto handler = before[i].sa_handler;
        if (kFatal[i] != number || (before[i].sa_flags & SA_SIGINFO) != 0) continue;
        if (handler != SIG_DFL && handler != SIG_IGN) {
            handler(number);
            return;
        }
    }
    raise(number);
}

}  // namespace

struct RunRecord::Layout {
    uint64_t magic = kMagic;
    int64_t process = 0;
    std::atomic<int> signal{0};
    std::atomic<uint8_t> has_run{0}, has_ended{0};
    std::array<char, 256> machine{};
    std::array<char, 64> how{};
    std::array<char, 16384> evidence{};
    Ring<16384> serial;
    Ring<8192> log;
    uint64_t started_ns = 0;
    std::array<char, 8192> screen{};
    std::array<Place<VirtioHistory>, 64> virtio;
    std::array<Place<NetworkCounts>, 16> networks;
};

Result<std::unique_ptr<RunRecord>> RunRecord::create(const std::string& path) {
    const auto failed = [&] { return Error(fmt::format("{}: {}", path, std::strerror(errno))); };
    unlink(path.c_str());  // whoever reads the old one keeps it whole
    const Fd file(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    // Stores to a page without room would end the process: all of it now.
    if (!file.valid()) return failed();
    if (const int error = posix_fallocate(file.get(), 0, sizeof(Layout)); error != 0) {
        errno = error;
        return failed();
    }
    void* const place =
        mmap(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (place == MAP_FAILED) return failed();
    auto* const layout = new (place) Layout;
    layout->process = getpid();
    return std::unique_ptr<RunRecord>(new RunRecord(layout, path));
}

RunRecord::~RunRecord() {
    if (watching.load() == this) {
        set_log_listener(nullptr);
        watching = nullptr;
        signal_place = nullptr;
    }
    munmap(layout_, sizeof(Layout));
}

void RunRecord::serial(unsigned port, std::span<const std::byte> bytes) {
    // Kernels write their last words to the first one.
    if (port == 0)
        layout_->serial.add({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

void RunRecord::log_line(std::string_view line) {
    layout_->log.add(std::string(line) + "\n");
}

void RunRecord::ran(std::string_view board_and_memory) {
    put(layout_->machine, board_and_memory);
    layout_->started_ns = now_ns();
    layout_->has_run = 1;
}

void RunRecord::ended(std::string_view how, std::string_view evidence) {
    put(layout_->evidence, evidence);
    put(layout_->how, how);
    layout_->has_ended = 1;
}

void RunRecord::screen(std::string_view text) { put(layout_->screen, text); }

VirtioHistory* RunRecord::add_virtio(uint32_t device_id, std::string_view place) {
    MutexLock lock(places_);
    VirtioHistory* const history = take_place(layout_->virtio, place);
    if (history != nullptr) history->device_id = device_id;
    return history;
}

void RunRecord::remove_virtio(VirtioHistory* history) {
    MutexLock lock(places_);
    // What a machine had when it ended stays.
    if (layout_->has_ended == 0) free_place(layout_->virtio, history);
}

NetworkCounts* RunRecord::add_network(std::string_view place) {
    MutexLock lock(places_);
    return take_place(layout_->networks, place);
}

void RunRecord::remove_network(NetworkCounts* counts) {
    MutexLock lock(places_);
    if (layout_->has_ended == 0) free_place(layout_->networks, counts);
}

void RunRecord::watch_process() {
    watching = this;
    signal_place = &layout_->signal;
    set_log_listener([](std::string_view line) {
        if (RunRecord* const record = watching; record != nullptr) record->log_line(line);
    });
    for (size_t i = 0; i < kFatal.size(); ++i) {
        struct sigaction action {};
        action.sa_handler = on_fatal;
        action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
        struct sigaction now {};
        // Twice in one process: what was there before us is known.
        if (sigaction(kFatal[i], &action, &now) == 0 && now.sa_handler != on_fatal)
            before[i] = now;
    }
}

std::optional<RunRecord::Contents> RunRecord::read(const std::string& path) {
    const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file.valid()) return std::nullopt;
    // A copy: the file may change meanwhile, and be shorter than it should.
    std::vector<std::byte> bytes(sizeof(Layout));
    const ssize_t size = pread(file.get(), bytes.data(), bytes.size(), 0);
    return size < 0 ? std::nullopt : parse(std::span(bytes).first(static_cast<size_t>(size)));
}

size_t RunRecord::bytes() { return sizeof(Layout); }

std::optional<RunRecord::Contents> RunRecord::parse(std::span<const std::byte> bytes) {
    if (bytes.size() != sizeof(Layout)) return std::nullopt;
    const auto copy = std::make_unique<Layout>();
    std::memcpy(static_cast<void*>(copy.get()), bytes.data(), bytes.size());
    if (copy->magic != kMagic) return std::nullopt;
    Contents contents{.process = copy->process,
                      .signal = copy->signal,
                      .has_run = copy->has_run != 0,
                      .machine = get(copy->machine),
                      .how = copy->has_ended != 0 ? get(copy->how) : "",
                      .evidence = get(copy->evidence),
                      .serial = copy->serial.last(),
                      .log = copy->log.last(),
                      .started_ns = copy->started_ns,
                      .screen = get(copy->screen),
                      .virtio = {},
                      .networks = {}};
    for (const auto& place : copy->virtio) {
        if (place.taken != 0) contents.virtio.push_back({get(place.name), place.what.values()});
    }
    for (const auto& place : copy->networks) {
        if (place.taken != 0) contents.networks.push_back({get(place.name), place.what.values()});
    }
    return contents;
}

}  // namespace mynah
