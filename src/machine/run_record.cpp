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
#include <new>

#include "base/log.h"
#include "host/fd.h"

namespace mynah {
namespace {

constexpr uint64_t kMagic = 0x314452434e594d;  // "MYNCRD1"

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
    layout_->has_run = 1;
}

void RunRecord::ended(std::string_view how, std::string_view evidence) {
    put(layout_->evidence, evidence);
    put(layout_->how, how);
    layout_->has_ended = 1;
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
    const auto copy = std::make_unique<Layout>();
    // A copy: the file may change meanwhile, and be shorter than it should.
    if (pread(file.get(), static_cast<void*>(copy.get()), sizeof(Layout), 0) !=
            static_cast<ssize_t>(sizeof(Layout)) ||
        copy->magic != kMagic)
        return std::nullopt;
    return Contents{.process = copy->process,
                    .signal = copy->signal,
                    .has_run = copy->has_run != 0,
                    .machine = get(copy->machine),
                    .how = copy->has_ended != 0 ? get(copy->how) : "",
                    .evidence = get(copy->evidence),
                    .serial = copy->serial.last(),
                    .log = copy->log.last()};
}

}  // namespace mynah
