#include "backend/character/pty_backend.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <stdlib.h>
#include <termios.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace mynah {

Result<std::unique_ptr<PtyBackend>> PtyBackend::open() {
    const auto failed = [](const char* call) {
        return Error(fmt::format("--serial pty: {}: {}", call, std::strerror(errno)));
    };
    Fd controller(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!controller.valid()) return failed("posix_openpt");
    if (grantpt(controller.get()) != 0 || unlockpt(controller.get()) != 0)
        return failed("unlockpt");
    std::array<char, 128> path{};
    if (ptsname_r(controller.get(), path.data(), path.size()) != 0) return failed("ptsname");
    Fd terminal(::open(path.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!terminal.valid()) return failed("open");
    termios settings{};
    if (tcgetattr(terminal.get(), &settings) == 0) {
        cfmakeraw(&settings);
        tcsetattr(terminal.get(), TCSANOW, &settings);
    }
    return std::unique_ptr<PtyBackend>(
        new PtyBackend(std::move(controller), std::move(terminal), path.data()));
}

PtyBackend::PtyBackend(Fd controller, Fd terminal, std::string path)
    : controller_(std::move(controller)),
      terminal_(std::move(terminal)),
      path_(std::move(path)),
      writer_(controller_.get()) {
    writer_.set_impatient();
    pump_.start(controller_.get(), InputPump::WhenFull::kHoldBack);
}

PtyBackend::~PtyBackend() { pump_.stop(); }

}  // namespace mynah
