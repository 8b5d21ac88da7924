#include "backend/display/vnc_connection.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace mynah {

VncConnection::VncConnection(Fd fd, const WebPage* page, MakeSession make_session)
    : fd_(std::move(fd)),
      page_(page),
      make_session_(std::move(make_session)),
      stage_(page != nullptr ? Stage::kRequest : Stage::kViewer) {
    if (page == nullptr) session_ = make_session_();
    take_output();
}

bool VncConnection::is_overdue(Clock::time_point now) const {
    const bool shows = session_ != nullptr && session_->ready();
    return !shows && now - begun_ > kGreetingTime;
}

void VncConnection::append(std::string_view text) {
    for (const char c : text) out_.push_back(static_cast<std::byte>(c));
}

void VncConnection::take_output() {
    if (session_ == nullptr || session_->output().empty()) return;
    std::vector<std::byte>& from = session_->output();
    if (stage_ == Stage::kWebSocket) {
        WebSocket::append_message(from, out_);
    } else {
        out_.insert(out_.end(), from.begin(), from.end());
    }
    from.clear();
}

bool VncConnection::read_some() {
    std::array<std::byte, 16 * 1024> buffer;
    const ssize_t got = recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    received(std::span(buffer).first(static_cast<size_t>(got)));
    take_output();
    return write_some();
}

void VncConnection::received(std::span<const std::byte> bytes) {
    switch (stage_) {
        case Stage::kViewer:
            if (!session_->receive(bytes)) ending_ = true;
            break;
        case Stage::kRequest:
            received_request(bytes);
            break;
        case Stage::kWebSocket:
            received_frames(bytes);
            break;
        case Stage::kFile:
            break;  // one request a connection
    }
}

void VncConnection::received_request(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes) request_.push_back(static_cast<char>(byte));
    const size_t end = request_.find("\r\n\r\n");
    if (end == std::string::npos) {
        ending_ = request_.size() > kRequestMost;
        return;
    }
    const auto request = parse_http_request(std::string_view(request_).substr(0, end + 4));
    stage_ = Stage::kFile;
    if (!request) {
        append("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        ending_ = true;
        return;
    }
    const WebPage::Answer answer = page_->answer(*request);
    append(answer.bytes);
    ending_ = !answer.web_socket;
    if (!answer.web_socket) return;
    stage_ = Stage::kWebSocket;
    session_ = make_session_();
    // What came after the request is the socket's already.
    const std::string rest = request_.substr(end + 4);
    request_.clear();
    received_frames(std::as_bytes(std::span(rest)));
}

void VncConnection::received_frames(std::span<const std::byte> bytes) {
    std::vector<std::byte> payload;
    const bool open = web_socket_.receive(bytes, payload, out_);
    const bool goes_on = session_->receive(payload);
    if (!open || !goes_on) ending_ = true;
}

bool VncConnection::write_some() {
    while (unsent() > 0) {
        const ssize_t done =
            send(fd_.get(), out_.data() + sent_, unsent(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return errno == EAGAIN;
        sent_ += static_cast<size_t>(done);
    }
    out_.clear();
    sent_ = 0;
    return !ending_;
}

}  // namespace mynah
