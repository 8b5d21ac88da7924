#include "host/terminal.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <thread>

#include "host/fd.h"

namespace mynah {
namespace {

// A child process with a terminal of its own; the test looks at that terminal from outside.
class Child {
 public:
    explicit Child(const std::function<void()>& body) {
        int controller = -1;
        winsize size{.ws_row = 33, .ws_col = 99, .ws_xpixel = 0, .ws_ypixel = 0};
        pid_ = forkpty(&controller, nullptr, nullptr, &size);
        if (pid_ == 0) {
            body();
            _exit(0);
        }
        controller_ = Fd(controller);
    }
    ~Child() {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
    bool raw() const {
        termios settings{};
        tcgetattr(controller_.get(), &settings);
        return (settings.c_lflag & (ICANON | ECHO | ISIG)) == 0;
    }
    bool becomes(bool raw_wanted) const {
        for (int i = 0; i < 5000; ++i) {
            if (raw() == raw_wanted) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return false;
    }
    void send(int signal) const { kill(pid_, signal); }
    int wait_status() const {
        int status = 0;
        waitpid(pid_, &status, WUNTRACED);
        return status;
    }

 private:
    pid_t pid_ = -1;
    Fd controller_;
};

void hold_raw_terminal() {
    // A sanitizer has handlers of its own, and what has a handler is left alone.
    for (const int number : {SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE}) signal(number, SIG_DFL);
    const auto terminal = Terminal::make_raw(STDIN_FILENO);
    if (terminal == nullptr) _exit(9);
    for (;;) pause();
}

TEST(Terminal, IsRawWhileItLives) {
    const Child child([] {
        auto terminal = Terminal::make_raw(STDIN_FILENO);
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        terminal.reset();
        for (;;) pause();
    });
    EXPECT_TRUE(child.becomes(true));
    EXPECT_TRUE(child.becomes(false));
}

TEST(Terminal, IsPutBackByExit) {
    const Child child([] {
        const auto terminal = Terminal::make_raw(STDIN_FILENO);
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        std::exit(0);
    });
    EXPECT_TRUE(child.becomes(true));
    EXPECT_TRUE(child.becomes(false));
}

TEST(Terminal, IsPutBackByFatalSignals) {
    for (const int number : {SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE}) {
        const Child child(hold_raw_terminal);
        ASSERT_TRUE(child.becomes(true));
        child.send(number);
        EXPECT_TRUE(child.becomes(false)) << number;
        const int status = child.wait_status();
        EXPECT_TRUE(WIFSIGNALED(status));
        EXPECT_EQ(WTERMSIG(status), number);
    }
}

TEST(Terminal, IsPutBackWhileStopped) {
    const Child child(hold_raw_terminal);
    ASSERT_TRUE(child.becomes(true));
    child.send(SIGTSTP);
    EXPECT_TRUE(child.becomes(false));
    child.send(SIGCONT);
    EXPECT_TRUE(child.becomes(true));
}

TEST(Terminal, KnowsTheWindowsSize) {
    const Child child([] {
        const auto terminal = Terminal::make_raw(STDIN_FILENO);
        const auto size = terminal->window_size();
        _exit(size && size->rows == 33 && size->columns == 99 ? 7 : 8);
    });
    EXPECT_EQ(WEXITSTATUS(child.wait_status()), 7);
}

TEST(Terminal, NoTerminalIsNone) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const Fd reader(ends[0]), writer(ends[1]);
    EXPECT_EQ(Terminal::make_raw(reader.get()), nullptr);
}

}  // namespace
}  // namespace mynah
