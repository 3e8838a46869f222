// Signs tokens as another service does. Prints one for each of the REQUESTS.
import jwt from "jsonwebtoken";

for (const { claims, key, options } of JSON.parse(process.env.REQUESTS)) {
  console.log(JSON.stringify(jwt.sign(claims, key, options)));
}
