#include "host/terminal.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>

#include "base/check.h"

namespace mynah {
namespace {

// What signal handlers need, hence static. Written before `g_raw_fd`, which says that it is valid.
termios g_original, g_raw;
std::atomic<int> g_raw_fd{-1};
static_assert(std::atomic<int>::is_always_lock_free);

constexpr std::array<int, 5> kFatalSignals{SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};

// tcsetattr from a background job would stop the job.
bool in_foreground(int fd) { return tcgetpgrp(fd) == getpgrp(); }

// Async-signal-safe.
void put_back() {
    const int fd = g_raw_fd.load();
    if (fd >= 0 && in_foreground(fd)) tcsetattr(fd, TCSANOW, &g_original);
}

void set_default(int number) {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    sigaction(number, &action, nullptr);
}

void on_fatal(int number) {
    put_back();
    // SA_RESETHAND restored the default action; a fault happens again on return, abort() goes on.
    raise(number);
}

void on_stop(int);

void catch_signal(int number, void (*handler)(int), int flags) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, nullptr);
}

void on_continue(int) {
    const int saved_errno = errno;
    const int fd = g_raw_fd.load();
    if (fd >= 0) {
        catch_signal(SIGTSTP, on_stop, SA_RESTART);
        if (in_foreground(fd)) tcsetattr(fd, TCSANOW, &g_raw);
    }
    errno = saved_errno;
}

void on_stop(int) {
    const int saved_errno = errno;
    put_back();
    set_default(SIGTSTP);  // on_continue takes it again
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    raise(SIGTSTP);
    pthread_sigmask(SIG_UNBLOCK, &stop, nullptr);  // stops here
    errno = saved_errno;
}

bool has_default_action(int number) {
    struct sigaction action {};
    return sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_DFL;
}

}  // namespace

std::unique_ptr<Terminal> Terminal::make_raw(int fd) {
    CHECK(g_raw_fd.load() < 0);
    if (isatty(fd) == 0 || !in_foreground(fd) || tcgetattr(fd, &g_original) != 0) return nullptr;
    g_raw = g_original;
    cfmakeraw(&g_raw);
    // Who puts it back is there before it is changed: a signal may come at any moment.
    g_raw_fd.store(fd);
    static const int at_exit = std::atexit(put_back);
    (void)at_exit;
    for (const int number : kFatalSignals) {
        // An engine may use these for the guest; it passes on what is not its own.
        if (has_default_action(number)) catch_signal(number, on_fatal, SA_RESETHAND | SA_NODEFER);
    }
    catch_signal(SIGTSTP, on_stop, SA_RESTART);
    catch_signal(SIGCONT, on_continue, SA_RESTART);
    std::unique_ptr<Terminal> terminal(new Terminal(fd));
    if (tcsetattr(fd, TCSANOW, &g_raw) != 0) return nullptr;
    return terminal;
}

Terminal::~Terminal() {
    put_back();
    g_raw_fd.store(-1);
    set_default(SIGTSTP);
    set_default(SIGCONT);
}

void Terminal::restore_now() { put_back(); }

std::optional<WindowSize> Terminal::window_size() const {
    winsize size{};
    if (ioctl(fd_, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0)
        return std::nullopt;
    return WindowSize{size.ws_row, size.ws_col};
}

}  // namespace mynah
