#include "backend/display/vnc_server.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <filesystem>
#include <fstream>

#include "backend/display/recording_input_test.h"
#include "backend/display/rfb_client_test.h"

namespace mynah {
namespace {

using testing::bytes_of;
using testing::ByteVector;

// A picture that the test paints.
class PaintedSource final : public DisplaySource {
  public:
    void refresh(Surface& surface, std::vector<Rect>& changed) override EXCLUDES(mutex_) {
        MutexLock lock(mutex_);
        ++refreshes_;
        if (surface == picture_) return;
        surface = picture_;
        changed.push_back({0, 0, picture_.width(), picture_.height()});
    }
    void resize(uint32_t width, uint32_t height) EXCLUDES(mutex_) {
        MutexLock lock(mutex_);
        picture_.resize(width, height);
    }
    void paint(uint32_t x, uint32_t y, uint32_t pixel) EXCLUDES(mutex_) {
        MutexLock lock(mutex_);
        picture_.row(y)[x] = pixel;
    }
    unsigned refreshes() EXCLUDES(mutex_) {
        MutexLock lock(mutex_);
        return refreshes_;
    }

  private:
    Mutex mutex_;
    Surface picture_ GUARDED_BY(mutex_);
    unsigned refreshes_ GUARDED_BY(mutex_) = 0;
};

// A viewer's end of a connection. Nothing waits for ever.
class Client {
  public:
    static constexpr int kPatience = 60'000;

    explicit Client(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        EXPECT_EQ(connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }
    explicit Client(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }
    void send(const ByteVector& bytes) {
        EXPECT_EQ(::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(bytes.size()));
    }
    void send(const std::string& text) { send(bytes_of(text)); }
    // Exactly so many, or fewer if the server closes.
    ByteVector read(size_t size) {
        ByteVector bytes;
        while (bytes.size() < size) {
            pollfd source{fd_.get(), POLLIN, 0};
            if (poll(&source, 1, kPatience) != 1) {
                ADD_FAILURE() << "the server is silent";
                break;
            }
            std::array<std::byte, 65536> buffer;
            const ssize_t got =
                recv(fd_.get(), buffer.data(), std::min(buffer.size(), size - bytes.size()), 0);
            if (got <= 0) break;
            bytes.insert(bytes.end(), buffer.begin(), buffer.begin() + got);
        }
        return bytes;
    }
    std::string read_text(size_t size) {
        std::string text;
        for (const std::byte byte : read(size)) text.push_back(static_cast<char>(byte));
        return text;
    }
    bool is_closed() { return read(1).empty(); }

  private:
    Fd fd_;
};

class Viewer {
  public:
    template <typename Where>
    explicit Viewer(const Where& where)
        : client(where), reader([this](size_t size) {
              ByteVector bytes = client.read(size);
              EXPECT_EQ(bytes.size(), size);
              bytes.resize(size);
              return bytes;
          }) {}
    void greet() {
        EXPECT_EQ(reader.text(12), "RFB 003.008\n");
        client.send("RFB 003.008\n");
        EXPECT_EQ(reader.number(2), 0x0101u);
        client.send(bytes_of({1}));
        EXPECT_EQ(reader.number(4), 0u);
        client.send(bytes_of({1}));
        reader.server_init();
        client.send(testing::encodings({7, -223, 0}));
    }
    void update(bool incremental = true) {
        client.send(
            testing::update_request(incremental, reader.picture.width(), reader.picture.height()));
        reader.message();
    }
    // Until the viewer's picture has this pixel.
    void await(uint32_t x, uint32_t y, uint32_t pixel) {
        for (int i = 0; i < 100; ++i) {
            if (x < reader.picture.width() && y < reader.picture.height() &&
                reader.picture.at(x, y) == pixel) {
                return;
            }
            update();
        }
        ADD_FAILURE() << "the picture never came";
    }

    Client client;
    testing::RfbReader reader;
};

class VncServerTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "vnc-XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        directory = name;
        path = directory / "socket";
        source.resize(160, 100);
        source.paint(7, 9, 0x123456);
    }
    void TearDown() override {
        server.reset();
        std::filesystem::remove_all(directory);
    }
    void start(VncOptions options) {
        auto result = VncServer::start(std::move(options), screen, input);
        ASSERT_TRUE(result.ok()) << result.error().message();
        server = result.take_value();
    }
    std::string refusal(VncOptions options) {
        auto result = VncServer::start(std::move(options), screen, input);
        return result.ok() ? "" : result.error().message();
    }
    // Until the server's thread did something.
    template <typename Done>
    static bool eventually(Done done) {
        for (int i = 0; i < 6000; ++i) {
            if (done()) return true;
            usleep(10'000);
        }
        return false;
    }

    std::filesystem::path directory;
    std::string path;
    PaintedSource source;
    Screen screen{source};
    testing::RecordingInput input;
    std::unique_ptr<VncServer> server;
};

TEST_F(VncServerTest, AViewerSeesThePictureAndTypes) {
    start({.name = "box", .unix_path = path});
    Viewer viewer(path);
    viewer.greet();
    EXPECT_EQ(viewer.reader.name, "box");
    EXPECT_EQ(viewer.reader.picture.width(), 160u);
    viewer.update(false);
    EXPECT_EQ(viewer.reader.picture, screen.capture());
    EXPECT_EQ(viewer.reader.picture.at(7, 9), 0x123456u);
    source.paint(150, 99, 0xabcdef);
    viewer.await(150, 99, 0xabcdef);
    viewer.client.send(testing::key_event('a', true));
    viewer.client.send(testing::pointer_event(0, 80, 50));
    std::vector<std::string> events;
    EXPECT_TRUE(eventually([&] {
        for (std::string& event : input.take()) events.push_back(std::move(event));
        return events.size() == 2;
    }));
    EXPECT_EQ(events, (std::vector<std::string>{"key 30 down", "at 80,50 of 160x100"}));
    source.resize(200, 50);
    source.paint(199, 49, 0xff);
    viewer.await(199, 49, 0xff);
    EXPECT_EQ(viewer.reader.resizes, 1u);
}

TEST_F(VncServerTest, SeveralViewersEachGetEveryChange) {
    start({.unix_path = path, .tcp = VncOptions::Tcp{}});
    EXPECT_NE(server->port(), 0);
    Viewer first(path), second(server->port()), third(path);
    for (Viewer* viewer : {&first, &second, &third}) viewer->greet();
    EXPECT_TRUE(eventually([&] { return server->viewers() == 3; }));
    for (Viewer* viewer : {&first, &second, &third}) viewer->update(false);
    source.paint(1, 1, 0x111111);
    first.await(1, 1, 0x111111);
    source.paint(2, 2, 0x222222);
    second.await(2, 2, 0x222222);
    third.await(2, 2, 0x222222);
    EXPECT_EQ(second.reader.picture, screen.capture());
    EXPECT_EQ(third.reader.picture, screen.capture());
}

TEST_F(VncServerTest, NothingIsDrawnForNobody) {
    start({.unix_path = path});
    usleep(100'000);
    EXPECT_EQ(source.refreshes(), 0u);
    {
        Viewer viewer(path);
        viewer.greet();
        viewer.update(false);
    }
    EXPECT_TRUE(eventually([&] { return server->viewers() == 0; }));
    const unsigned before = source.refreshes();
    usleep(200'000);
    EXPECT_EQ(source.refreshes(), before);
}

TEST_F(VncServerTest, PasswordsAndTooManyWrongOnes) {
    start({.unix_path = path, .password = "sesame"});
    const auto attempt = [&](const std::string& password) {
        Client client(path);
        client.read(12);
        client.send("RFB 003.008\n");
        EXPECT_EQ(client.read(2), bytes_of({1, 2}));
        client.send(bytes_of({2}));
        VncChallenge challenge;
        const ByteVector bytes = client.read(16);
        std::copy(bytes.begin(), bytes.end(), challenge.begin());
        const VncChallenge answer = answer_vnc_challenge(challenge, password);
        client.send(ByteVector(answer.begin(), answer.end()));
        const ByteVector result = client.read(4);
        if (result == bytes_of({0, 0, 0, 0})) return std::string("welcome");
        const size_t length = static_cast<size_t>(client.read(4)[3]);
        const std::string reason = client.read_text(length);
        EXPECT_TRUE(client.is_closed());
        return reason;
    };
    EXPECT_EQ(attempt("sesame"), "welcome");
    EXPECT_EQ(attempt("wrong"), "wrong password");
    EXPECT_EQ(attempt("sesame"), "welcome");
    for (int i = 0; i < 5; ++i) EXPECT_EQ(attempt("wrong"), "wrong password");
    EXPECT_EQ(attempt("sesame"), "too many wrong passwords, try again later");
    Client sneaky(path);
    sneaky.read(12);
    sneaky.send("RFB 003.008\n");
    sneaky.read(2);
    sneaky.send(bytes_of({1, 1}));
    EXPECT_EQ(sneaky.read(4), bytes_of({0, 0, 0, 1}));
}

TEST_F(VncServerTest, GarbageEndsThatConnectionOnly) {
    start({.unix_path = path});
    Viewer good(path);
    good.greet();
    good.update(false);
    for (const char* text : {"GET / HTTP/1.0\r\n\r\n", "RFB 003.008\n\x01\x01\x63garbage"}) {
        Client bad(path);
        bad.read(12);
        bad.send(std::string(text));
        while (!bad.is_closed()) {
        }
    }
    Viewer large(path);
    large.greet();
    large.client.send(bytes_of({255, 0, 0, 1, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff}));
    large.client.send(bytes_of({255, 0, 0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}));
    large.update(false);
    source.paint(3, 3, 0x333333);
    good.await(3, 3, 0x333333);
}

TEST_F(VncServerTest, AViewerThatDoesNotReadHoldsNobodyUp) {
    source.resize(1000, 1000);
    start({.unix_path = path});
    Viewer slow(path), good(path);
    slow.greet();
    slow.client.send(testing::encodings({0}));
    for (int i = 0; i < 50; ++i) slow.client.send(testing::update_request(false, 1000, 1000));
    good.greet();
    good.update(false);
    for (uint32_t i = 1; i <= 3; ++i) {
        source.paint(i, 5, 0x555555);
        good.await(i, 5, 0x555555);
    }
}

TEST_F(VncServerTest, ConnectionsAreCounted) {
    start({.unix_path = path});
    std::list<Client> clients;
    for (size_t i = 0; i < VncServer::kConnectionsMost; ++i) {
        clients.emplace_back(path);
        EXPECT_EQ(clients.back().read(12).size(), 12u);
    }
    EXPECT_TRUE(Client(path).is_closed());
    clients.clear();
    EXPECT_TRUE(eventually([&] { return Client(path).read(12).size() == 12; }));
}

TEST_F(VncServerTest, Clipboard) {
    Mutex mutex;
    std::string copied;
    start({.unix_path = path, .clipboard = [&](const std::string& text) {
               MutexLock lock(mutex);
               copied = text;
           }});
    Viewer viewer(path);
    viewer.greet();
    viewer.client.send(testing::cut_text("to the guest"));
    EXPECT_TRUE(eventually([&] {
        MutexLock lock(mutex);
        return copied == "to the guest";
    }));
    server->send_clipboard("from the guest");
    viewer.reader.message();
    EXPECT_EQ(viewer.reader.cut_text, "from the guest");
}

TEST_F(VncServerTest, BrowsersGetThePageAndASocket) {
    std::ofstream(directory / "vnc.html") << "<html>";
    start({.web = VncOptions::Tcp{}, .web_root = directory});
    const std::string host = "Host: 127.0.0.1:" + std::to_string(server->web_port()) + "\r\n";
    {
        Client browser(server->web_port());
        browser.send("GET /vnc.html HTTP/1.1\r\n" + host + "\r\n");
        const std::string text = browser.read_text(100'000);
        EXPECT_TRUE(text.starts_with("HTTP/1.1 200 OK\r\n"));
        EXPECT_TRUE(text.ends_with("<html>"));
    }
    Client browser(server->web_port());
    browser.send("GET /websockify HTTP/1.1\r\n" + host +
                 "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    std::string answer;
    while (!answer.ends_with("\r\n\r\n")) answer += browser.read_text(1);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 101"));
    EXPECT_EQ(browser.read_text(14), "\x82\x0cRFB 003.008\n");
    // The same, masked with zeros.
    browser.send(bytes_of({0x82, 0x8c, 0, 0, 0, 0}));
    browser.send("RFB 003.008\n");
    EXPECT_EQ(browser.read(4), bytes_of({0x82, 2, 1, 1}));
    browser.send(bytes_of({0x88, 0x80, 0, 0, 0, 0}));
    EXPECT_EQ(browser.read(2), bytes_of({0x88, 0}));
    EXPECT_TRUE(browser.is_closed());
}

TEST_F(VncServerTest, WhatCannotBeServedIsRefused) {
    EXPECT_NE(refusal({}).find("expected a port or a path"), std::string::npos);
    EXPECT_NE(refusal({.tcp = VncOptions::Tcp{"0.0.0.0", 0}}).find("set a password"),
              std::string::npos);
    EXPECT_NE(refusal({.tcp = VncOptions::Tcp{"example", 0}, .password = "x"}).find("'example'"),
              std::string::npos);
    EXPECT_NE(refusal({.web = VncOptions::Tcp{}, .web_root = directory}).find("vnc.html"),
              std::string::npos);
    EXPECT_NE(refusal({.unix_path = std::string(200, 'x')}).find("107 bytes"), std::string::npos);
    EXPECT_NE(refusal({.unix_path = path, .password = ""}).find("empty"), std::string::npos);
    std::ofstream(path) << "a file";
    EXPECT_NE(refusal({.unix_path = path}).find("in use"), std::string::npos);
    EXPECT_TRUE(std::filesystem::is_regular_file(path));
}

TEST_F(VncServerTest, ItsSocketIsItsOwnersAndGoesWithIt) {
    start({.unix_path = path});
    struct stat status {};
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    server.reset();
    EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace mynah
