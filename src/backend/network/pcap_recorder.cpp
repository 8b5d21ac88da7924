#include "backend/network/pcap_recorder.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "base/log.h"

namespace mynah {

Result<std::unique_ptr<PcapRecorder>> PcapRecorder::open(std::unique_ptr<NetworkBackend> inner,
                                                         const std::string& path,
                                                         const std::string& origin) {
    Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file.valid()) {
        return Error(fmt::format("{}: pcap={}: {}", origin, path, std::strerror(errno)));
    }
    return std::unique_ptr<PcapRecorder>(new PcapRecorder(std::move(inner), std::move(file), path));
}

PcapRecorder::PcapRecorder(std::unique_ptr<NetworkBackend> inner, Fd file, std::string path)
    : path_(std::move(path)), file_(std::move(file)), inner_(std::move(inner)) {
    constexpr uint32_t kVersion = 4 << 16 | 2;  // 2.4, major number first
    MutexLock lock(mutex_);
    buffer_.reserve(kBuffer);
    for (const uint32_t word : {kMagic, kVersion, 0u, 0u, kSnapLength, kLinkEthernet}) {
        append32(word);
    }
    flush();
}

PcapRecorder::~PcapRecorder() {
    inner_->set_sink(nullptr);
    MutexLock lock(mutex_);
    flush();
}

void PcapRecorder::set_sink(NetworkSink* sink) {
    inner_->set_sink(nullptr);
    sink_ = sink;
    if (sink != nullptr) inner_->set_sink(this);
}

size_t PcapRecorder::transmit(std::span<const NetworkFrame> frames) {
    // Before, so that an answer which comes within the call stands behind it.
    record(frames);
    return inner_->transmit(frames);
}

size_t PcapRecorder::receive(std::span<const NetworkFrame> frames) {
    const size_t taken = sink_->receive(frames);
    record(frames.first(taken));
    return taken;
}

void PcapRecorder::append32(uint32_t value) {
    append(std::as_bytes(std::span(&value, 1)));  // in the host's order, as the magic tells
}

void PcapRecorder::append(std::span<const std::byte> bytes) {
    if (!file_.valid()) return;
    if (buffer_.size() + bytes.size() > kBuffer) flush();
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

void PcapRecorder::flush() {
    for (std::span<const std::byte> rest = buffer_; !rest.empty() && file_.valid();) {
        const ssize_t size = write(file_.get(), rest.data(), rest.size());
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) {
            log(LogLevel::kError, "pcap={}: {}; recording ends", path_, std::strerror(errno));
            file_.reset();
            break;
        }
        rest = rest.subspan(static_cast<size_t>(size));
    }
    buffer_.clear();
}

void PcapRecorder::record(std::span<const NetworkFrame> frames) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    MutexLock lock(mutex_);
    for (const NetworkFrame& frame : frames) {
        append32(static_cast<uint32_t>(now.tv_sec));
        append32(static_cast<uint32_t>(now.tv_nsec));
        append32(static_cast<uint32_t>(frame.size));  // never longer than kSnapLength
        append32(static_cast<uint32_t>(frame.size));
        for (const Slice piece : frame.pieces) append(piece);
    }
}

}  // namespace mynah
