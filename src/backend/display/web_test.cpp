#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "backend/display/rfb_client_test.h"
#include "backend/display/web_page.h"
#include "backend/display/web_socket.h"

namespace mynah {
namespace {

using testing::bytes_of;
using testing::ByteVector;

// A client's frame.
ByteVector frame(unsigned first, const ByteVector& payload, uint32_t mask = 0x11223344) {
    ByteVector bytes = bytes_of({first});
    if (payload.size() < 126) {
        bytes.push_back(static_cast<std::byte>(0x80 | payload.size()));
    } else if (payload.size() < 65536) {
        bytes.push_back(std::byte{0xfe});
        testing::append16(bytes, static_cast<unsigned>(payload.size()));
    } else {
        bytes.push_back(std::byte{0xff});
        testing::append32(bytes, 0);
        testing::append32(bytes, static_cast<uint32_t>(payload.size()));
    }
    testing::append32(bytes, mask);
    for (size_t i = 0; i < payload.size(); ++i) {
        bytes.push_back(payload[i] ^ static_cast<std::byte>(mask >> (24 - 8 * (i % 4))));
    }
    return bytes;
}

class WebSocketTest : public ::testing::Test {
  protected:
    bool receive(const ByteVector& bytes) { return socket.receive(bytes, payload, reply); }
    WebSocket socket;
    ByteVector payload, reply;
};

TEST_F(WebSocketTest, KeyOfTheStandardsExample) {
    EXPECT_EQ(WebSocket::accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST_F(WebSocketTest, FramesOfEveryLengthInAnyPieces) {
    ByteVector expected;
    for (const size_t size : {0, 1, 5, 125, 126, 127, 65535, 65536, 100'000}) {
        ByteVector body(size);
        for (size_t i = 0; i < size; ++i) body[i] = static_cast<std::byte>(i * 7);
        expected.insert(expected.end(), body.begin(), body.end());
        const ByteVector bytes = frame(0x82, body);
        if (size % 2 == 0) {
            EXPECT_TRUE(receive(bytes));
        } else {
            for (const std::byte byte : bytes) EXPECT_TRUE(receive({byte}));
        }
    }
    EXPECT_EQ(payload, expected);
    EXPECT_TRUE(reply.empty());
}

TEST_F(WebSocketTest, FragmentsWithAPingBetween) {
    EXPECT_TRUE(receive(frame(0x02, bytes_of("ab"))));
    EXPECT_TRUE(receive(frame(0x89, bytes_of("hi"))));
    EXPECT_TRUE(receive(frame(0x80, bytes_of("cd"))));
    EXPECT_TRUE(receive(frame(0x8a, bytes_of("unasked"))));
    EXPECT_EQ(payload, bytes_of("abcd"));
    EXPECT_EQ(reply, bytes_of({0x8a, 2, 'h', 'i'}));
}

TEST_F(WebSocketTest, ClosingIsAnswered) {
    EXPECT_FALSE(receive(frame(0x88, bytes_of({0x03, 0xe8}))));
    EXPECT_EQ(reply, bytes_of({0x88, 2, 0x03, 0xe8}));
    EXPECT_FALSE(receive(frame(0x82, bytes_of("late"))));
    EXPECT_TRUE(payload.empty());
}

TEST_F(WebSocketTest, BrokenRulesEndIt) {
    const std::vector<ByteVector> broken{
        frame(0xc2, bytes_of("x")),                 // a reserved bit
        frame(0x83, bytes_of("x")),                 // an unknown kind
        frame(0x8b, bytes_of("x")),                 // an unknown control
        frame(0x89, ByteVector(126)),               // a long ping
        bytes_of({0x82, 0x01, 'x', 0, 0, 0, 0, 0})  // not masked
    };
    for (const ByteVector& bytes : broken) {
        WebSocket one;
        ByteVector out, answers;
        EXPECT_FALSE(one.receive(bytes, out, answers));
        EXPECT_TRUE(out.empty());
    }
}

TEST_F(WebSocketTest, MessagesToTheClient) {
    ByteVector out;
    WebSocket::append_message(ByteVector(3), out);
    EXPECT_EQ(out, bytes_of({0x82, 3, 0, 0, 0}));
    out.clear();
    WebSocket::append_message(ByteVector(300), out);
    EXPECT_EQ(ByteVector(out.begin(), out.begin() + 4), bytes_of({0x82, 126, 1, 44}));
    EXPECT_EQ(out.size(), 304u);
    out.clear();
    WebSocket::append_message(ByteVector(70'000), out);
    EXPECT_EQ(ByteVector(out.begin(), out.begin() + 10),
              bytes_of({0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70}));
}

TEST(HttpRequest, IsParsedOrRefused) {
    const auto request =
        parse_http_request("GET /a?b HTTP/1.1\r\nHost:  localhost:5700 \r\nX-One: 1\r\n\r\nrest");
    ASSERT_TRUE(request);
    EXPECT_EQ(request->method, "GET");
    EXPECT_EQ(request->target, "/a?b");
    EXPECT_EQ(request->header("host"), "localhost:5700");
    EXPECT_EQ(request->header("x-one"), "1");
    EXPECT_EQ(request->header("x-two"), "");
    for (const char* text : {"", "\r\n\r\n", "GET\r\n\r\n", "GET /\r\n\r\n", "GET / SIP/2\r\n\r\n",
                             "GET / HTTP/1.1\r\nno colon\r\n\r\n", "GET / HTTP/1.1\r\nA: b\r\n"}) {
        EXPECT_FALSE(parse_http_request(text)) << text;
    }
}

class WebPageTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "web-XXXXXX").string();
        ASSERT_NE(mkdtemp(name.data()), nullptr);
        directory = name;
        std::filesystem::create_directories(directory / "root" / "core");
        std::ofstream(directory / "secret") << "secret";
        std::ofstream(directory / "root" / "vnc.html") << "<html>";
        std::ofstream(directory / "root" / "core" / "a b.js") << "code";
        std::filesystem::create_symlink("../secret", directory / "root" / "leak");
        std::filesystem::create_symlink("vnc.html", directory / "root" / "auto.html");
    }
    void TearDown() override { std::filesystem::remove_all(directory); }
    WebPage::Answer get(const std::string& target,
                        std::map<std::string, std::string> headers = {}) {
        headers.try_emplace("host", "127.0.0.1:5700");
        return WebPage(directory / "root").answer({"GET", target, std::move(headers)});
    }
    static std::string status(const WebPage::Answer& answer) { return answer.bytes.substr(9, 3); }

    std::filesystem::path directory;
};

TEST_F(WebPageTest, ServesFilesBelowItsRootOnly) {
    const WebPage::Answer page = get("/vnc.html?host=x");
    EXPECT_EQ(status(page), "200");
    EXPECT_NE(page.bytes.find("Content-Type: text/html"), std::string::npos);
    EXPECT_TRUE(page.bytes.ends_with("\r\n\r\n<html>"));
    EXPECT_EQ(status(get("/core/a%20b.js")), "200");
    EXPECT_EQ(status(get("/auto.html")), "200");
    EXPECT_EQ(status(get("/")), "302");
    EXPECT_EQ(status(get("/nothing")), "404");
    EXPECT_EQ(status(get("/core")), "404");
    EXPECT_EQ(status(get("/leak")), "404");
    EXPECT_EQ(status(get("/../secret")), "404");
    EXPECT_EQ(status(get("/%2e%2e/secret")), "404");
    EXPECT_EQ(status(get("/vnc.html%00")), "400");
    EXPECT_EQ(status(get("vnc.html")), "400");
    EXPECT_EQ(status(get("/%g0")), "400");
    EXPECT_EQ(WebPage(directory / "root").answer({"POST", "/", {}}).bytes.substr(9, 3), "405");
}

TEST_F(WebPageTest, OtherOriginsAreRefused) {
    EXPECT_EQ(status(get("/vnc.html", {{"host", "evil.example"}})), "403");
    EXPECT_EQ(status(get("/vnc.html", {{"host", "evil.example:5700"}})), "403");
    EXPECT_EQ(status(get("/vnc.html", {{"host", "LOCALHOST:5700"}})), "200");
    EXPECT_EQ(status(get("/vnc.html", {{"host", "[::1]:5700"}})), "200");
    EXPECT_EQ(status(get("/vnc.html", {{"host", ""}})), "403");
    std::map<std::string, std::string> headers{{"upgrade", "WebSocket"},
                                               {"sec-websocket-version", "13"},
                                               {"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="},
                                               {"sec-websocket-protocol", "base64, binary"},
                                               {"origin", "http://evil.example"}};
    EXPECT_EQ(status(get("/websockify", headers)), "403");
    headers["origin"] = "http://127.0.0.1:5700";
    const WebPage::Answer agreed = get("/websockify", headers);
    EXPECT_TRUE(agreed.web_socket);
    EXPECT_EQ(status(agreed), "101");
    EXPECT_NE(agreed.bytes.find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), std::string::npos);
    EXPECT_NE(agreed.bytes.find("Protocol: binary\r\n"), std::string::npos);
    headers["sec-websocket-version"] = "8";
    EXPECT_EQ(status(get("/websockify", headers)), "426");
}

}  // namespace
}  // namespace mynah
